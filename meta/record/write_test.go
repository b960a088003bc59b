package record

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"thintree/tests/pools"
)

// all returns the contents of all files in a folder, by name.
func all(t testing.TB, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(text)
	}
	return files
}

func TestRecordsAreWrittenAsDockerWritesThem(t *testing.T) {
	t.Parallel()
	docker, dir := filepath.Join(pools.Docker(t), "devicemapper/metadata"), t.TempDir()
	devices, damaged, err := ReadDir(t.Context(), docker)
	if err != nil || len(damaged) > 0 {
		t.Fatal(err, damaged)
	}
	for hash, d := range devices {
		err = errors.Join(err, WriteDevice(dir, hash, d))
	}
	x, xErr := ReadTransaction(docker)
	s, sErr := ReadDeviceSet(docker)
	if err := errors.Join(err, xErr, WriteTransaction(dir, x), sErr, WriteDeviceSet(dir, s)); err != nil {
		t.Fatal(err)
	}
	want, got := all(t, docker), all(t, dir)
	if len(got) != len(want) {
		t.Errorf("%d files instead of %d", len(got), len(want))
	}
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s: %s\nwant %s", name, got[name], text)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "base"))
	if err != nil || info.Mode() != 0o600 {
		t.Error(info.Mode(), err)
	}
}

func TestWriteReplacesTheOldRecord(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"ab12": "damaged", "base": "{}", "elsewhere": "untouched"})
	if err := os.Symlink("elsewhere", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, hash := range []string{"ab12", "", "new", "link"} {
		if err := WriteDevice(dir, hash, goodDevice); err != nil {
			t.Errorf("%q: %v", hash, err)
		}
	}
	for name, text := range all(t, dir) {
		if want := map[bool]string{true: "untouched", false: good}[name == "elsewhere"]; text != want {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestRecordIsRemoved(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"base": good, "ab12": good, "other": good})
	for _, hash := range []string{"ab12", "", "ab12", "missing"} {
		if err := RemoveDevice(dir, hash); err != nil {
			t.Errorf("%q: %v", hash, err)
		}
	}
	if files := all(t, dir); len(files) != 1 || files["other"] != good {
		t.Error(files)
	}
	if err := RemoveDevice(filepath.Join(dir, "missing"), "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestInvalidHashIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, hash := range []string{
		".", "..", "a/b", "/", "a\x00b", ".hidden", ".tmp1", "base", "transaction-metadata", "deviceset-metadata",
		"old.migrated", strings.Repeat("n", 251), "\xff",
	} {
		for _, err := range []error{
			CheckHash(hash), WriteDevice(dir, hash, goodDevice), RemoveDevice(dir, hash), WriteTransaction(dir, Transaction{1, hash, 1}),
		} {
			if name, ok := errors.AsType[*NameError](err); !ok || name.Hash != hash || len(err.Error()) > 200 {
				t.Errorf("%q: %v", hash, err)
			}
		}
	}
	for _, hash := range []string{"", "a", "base-init", "ünï", "a b", "a.migrated-init", strings.Repeat("n", 250)} {
		if err := errors.Join(CheckHash(hash), WriteDevice(dir, hash, goodDevice), RemoveDevice(dir, hash)); err != nil {
			t.Errorf("%q: %v", hash, err)
		}
	}
	if files := all(t, dir); len(files) > 0 {
		t.Error(files)
	}
}

func TestInvalidRecordIsNotWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, err := range []error{
		WriteDevice(dir, "x", Device{ID: 1 << 24}),
		WriteDevice(dir, "x", Device{SizeBytes: 100}),
		WriteDevice(dir, "x", Device{SizeBytes: -512}),
		WriteTransaction(dir, Transaction{DeviceID: 1 << 24}),
		WriteDeviceSet(dir, DeviceSet{NextDeviceID: 1 << 24}),
	} {
		if err == nil || !strings.Contains(err.Error(), dir) {
			t.Error(err)
		}
	}
	if files := all(t, dir); len(files) > 0 {
		t.Error(files)
	}
}

func TestDeviceSetIsRead(t *testing.T) {
	t.Parallel()
	if _, err := ReadDeviceSet(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for text, says := range map[string]string{
		"": "unexpected end", `{"next_device_id":16777216}`: "next_device_id 16777216", `{"next_device_id":-1}`: "next_device_id",
	} {
		dir := folder(t, map[string]string{DeviceSetFile: text})
		if s, err := ReadDeviceSet(dir); err == nil || !strings.Contains(err.Error(), DeviceSetFile) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %+v, %v", text, s, err)
		}
	}
}

// faulty makes a folder with records on a small tmpfs of its own.
func faulty(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("needs root: tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(WriteDevice(dir, "ab12", goodDevice), WriteDeviceSet(dir, DeviceSet{NextDeviceID: 7})); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFailedWriteKeepsTheOldRecord(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail func(dir string) error
		want error
	}{
		"full": {func(dir string) error {
			err := os.WriteFile(filepath.Join(dir, ".fill"), bytes.Repeat([]byte{1}, 1<<20), 0o600)
			if !errors.Is(err, unix.ENOSPC) {
				return fmt.Errorf("not full: %w", err)
			}
			return nil
		}, unix.ENOSPC},
		"read-only": {func(dir string) error {
			return unix.Mount("none", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
		}, unix.EROFS},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := faulty(t)
			if err := c.fail(dir); err != nil {
				t.Fatal(err)
			}
			before := all(t, dir)
			for _, err := range []error{
				WriteDevice(dir, "ab12", Device{ID: 1}), WriteDevice(dir, "new", Device{ID: 1}), WriteDeviceSet(dir, DeviceSet{NextDeviceID: 8}),
				WriteTransaction(dir, Transaction{OpenID: 1}),
			} {
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), dir) {
					t.Error(err)
				}
			}
			after := all(t, dir)
			if len(after) != len(before) {
				t.Errorf("%d files instead of %d", len(after), len(before))
			}
			for name, text := range before {
				if after[name] != text {
					t.Errorf("%s: %.80s", name, after[name])
				}
			}
		})
	}
}

func TestFailedReplaceLeavesNoTemporaryFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteDevice(dir, "x", goodDevice); err == nil {
		t.Error("a record replaced a folder")
	}
	if err := RemoveDevice(dir, "x"); err == nil {
		t.Error("a folder was removed")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Error(entries, err)
	}
}

func TestSweepRemovesOldTemporaryFiles(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{".tmp1": "", ".tmp22": good, ".tmp333": good, "ab12": good, ".other": good})
	if err := os.Mkdir(filepath.Join(dir, ".tmpfolder"), 0o700); err != nil {
		t.Fatal(err)
	}
	before := started.Add(-time.Millisecond)
	for _, name := range []string{".tmp1", ".tmp22", "ab12", ".other", ".tmpfolder"} {
		if err := os.Chtimes(filepath.Join(dir, name), before, before); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := Sweep(dir); err != nil {
			t.Fatal(err)
		}
		var left []string
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			left = append(left, e.Name())
		}
		if got := strings.Join(left, " "); got != ".other .tmp333 .tmpfolder ab12" {
			t.Errorf("left: %s", got)
		}
	}
	if err := Sweep(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
