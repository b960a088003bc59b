package thin

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// checker is a script that stands for thin_check.
func checker(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "thin_check")
	syscall.ForkLock.RLock() // while a forked child holds it open to write, execve gives ETXTBSY
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// someMetadata is a file that is long enough for a pool's metadata.
func someMetadata(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, make([]byte, leastMetadataBytes), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDamageFoundByThinCheckIsReported(t *testing.T) {
	t.Parallel()
	for name, output := range map[string]string{
		"0.9": "examining superblock\n  superblock is corrupt\n    bad checksum in superblock, wanted 1490015127",
		"1.0": "TRANSACTION_ID=0\nmetadata contains errors (run thin_check for details).\nBad checksum in superblock",
		"-q":  "",
	} {
		path := someMetadata(t, "metadata")
		err := check(t.Context(), checker(t, "cat <<-X\n"+output+"\nX\nexit 1"), path)
		found, ok := errors.AsType[*CheckError](err)
		if !ok || found.Metadata != path || found.Report != strings.Join(strings.Fields(output), " ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := check(t.Context(), checker(t, "exit 0"), someMetadata(t, "metadata")); err != nil {
		t.Error(err)
	}
}

func TestPathOfMetadataIsNotTakenForAnOption(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("--help", make([]byte, leastMetadataBytes), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := check(t.Context(), checker(t, `test -f "$1" && case $1 in -*) exit 1;; esac`), "--help"); err != nil {
		t.Error(err)
	}
}

func TestOtherFailuresAreNotTakenForDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo, short := filepath.Join(dir, "fifo"), filepath.Join(dir, "short")
	if err := errors.Join(unix.Mkfifo(fifo, 0o600), os.WriteFile(short, make([]byte, leastMetadataBytes-1), 0o600)); err != nil {
		t.Fatal(err)
	}
	const whole = "exit 0"
	for name, c := range map[string]struct {
		path, script string
		says         string
		is           error
	}{
		"no file":             {filepath.Join(dir, "none"), whole, "none: no such file", fs.ErrNotExist},
		"a folder":            {dir, whole, "a folder", unix.EISDIR},
		"a pipe":              {fifo, whole, "a named pipe", unix.ENOTBLK},
		"a character device":  {"/dev/null", whole, "a character device", unix.ENOTBLK},
		"too short":           {short, whole, "65535 bytes", unix.EINVAL},
		"a signal":            {someMetadata(t, "a"), "kill -9 $$", "signal: killed", nil},
		"an abort":            {someMetadata(t, "b"), "echo terminate called >&2; kill -6 $$", "terminate called", nil},
		"no libraries":        {someMetadata(t, "c"), "echo error while loading shared libraries >&2; exit 127", "loading shared libraries", nil},
		"a panic":             {someMetadata(t, "d"), "exit 101", "exit status 101", nil},
		"no such option":      {someMetadata(t, "e"), `echo "thin_check: unrecognized option '-x'"; echo "Usage: thin_check [options]"; exit 1`, "Usage", nil},
		"it cannot open":      {someMetadata(t, "f"), `echo "syscall 'open' failed: Permission denied"; exit 1`, "Permission denied", nil},
		"no asynchronous I/O": {someMetadata(t, "g"), `echo "io_setup failed: Success"; exit 1`, "io_setup failed", nil},
		"it cannot read":      {someMetadata(t, "h"), `echo "couldn't issue read io for block 0: io_submit failed with -11"; exit 1`, "io_submit failed", nil},
	} {
		err := check(t.Context(), checker(t, c.script), c.path)
		if _, ok := errors.AsType[*UncheckedError](err); !ok || !strings.Contains(err.Error(), c.says) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (!strings.Contains(err.Error(), c.path) || strings.Contains(err.Error(), "active")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := check(t.Context(), filepath.Join(dir, "thin_check"), someMetadata(t, "metadata"))
	if _, ok := errors.AsType[*UncheckedError](err); !ok {
		t.Errorf("a program that cannot be run: %v", err)
	}
}

func TestCheckEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := check(ctx, checker(t, "exit 1"), someMetadata(t, "metadata")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
