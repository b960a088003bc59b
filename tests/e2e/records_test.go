package e2e

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"thintree/tests/pools"
)

// cutMetadata keeps the first blocks of the metadata of a Docker root's pool.
func cutMetadata(t *testing.T, root string, blocks int64) {
	t.Helper()
	if err := os.Truncate(filepath.Join(root, "devicemapper/devicemapper/metadata"), blocks*4096); err != nil {
		t.Fatal(err)
	}
}

func TestPoolWhoseMetadataAreCutOffIsAnError(t *testing.T) {
	t.Parallel()
	_, root := dockerCopy(t, "docker")
	cutMetadata(t, root, 7)
	mnt := t.TempDir()
	for _, args := range [][]string{
		{"ls", "docker:" + root},
		{"ls", "--long", "docker:" + root},
		{"info", "docker:" + root},
		{"ls", "pool:" + root + "/devicemapper/devicemapper/metadata," + root + "/devicemapper/devicemapper/data"},
		{"mount", "docker:" + root, mnt},
	} {
		r := thintree(t, args...)
		if r.status != 1 || r.stdout != "" || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "truncated") {
			t.Errorf("%s: exit status %d, %q, want one line about truncated metadata: %s", args, r.status, r.stdout, r.stderr)
		}
	}
	if mounted(mnt) {
		t.Error("it is mounted")
		thintree(t, "umount", "--lazy", mnt)
	}
}

func TestMountWarnsOnce(t *testing.T) {
	t.Parallel()
	_, root := dockerCopy(t, "docker")
	if err := os.Truncate(filepath.Join(root, "devicemapper/devicemapper/data"), 900<<16); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"the system log": {"mount"},
		"a file":         {"mount", "--log-file", filepath.Join(t.TempDir(), "log")},
		"errors only":    {"mount", "--log-level", "error"},
	} {
		mnt := t.TempDir()
		r := thintree(t, append(args, "docker:"+root, mnt)...)
		if mounted(mnt) {
			thintree(t, "umount", "--lazy", mnt)
		}
		if r.status != 0 || strings.Count(r.stderr, "what lies beyond cannot be read") != 1 {
			t.Errorf("%s: exit status %d, want one warning: %s", name, r.status, r.stderr)
		}
	}
}

// editRecord replaces a text in the record of a device of a Docker root.
func editRecord(t *testing.T, root, name, old, new string) {
	t.Helper()
	path := filepath.Join(root, "devicemapper/metadata", name)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s does not have %s: %s", name, old, text)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Volumes of pools.Docker.
const (
	ranVolume = "ed481cbae34f670246e25991d5d4e2cb30ac1639f184060c42be26e4ba25c8ed" // container ran, device 14
	webVolume = "d89cdbc0cd6d1866fffa634c6bf44f358714dd170368e7a72bb796c2dfd286f2" // container stopped-web, device 12
)

func TestPoolOfOtherRecordsIsRefused(t *testing.T) {
	t.Parallel()
	root, store, other := pools.Docker(t), pools.Storage(t), pools.Containerd(t)
	of := func(dir, metadata, data string) string {
		return filepath.Join(dir, metadata) + "," + filepath.Join(dir, data)
	}
	mnt := t.TempDir()
	for _, source := range []string{"docker:" + root, "store:" + root + "/devicemapper"} {
		for name, pool := range map[string]string{
			"containerd": of(other, "meta", "data"), "containers-storage": of(store, "meta", "data"),
		} {
			for _, args := range [][]string{
				{"ls", "--pool", pool, source}, {"ls", "--pool", pool, source, "base:/"},
				{"info", "--pool", pool, source}, {"mount", "--pool", pool, source, mnt},
			} {
				r := thintree(t, args...)
				if r.status != 1 || r.stdout != "" || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "--pool") {
					t.Errorf("%s: %s: exit status %d, %q, want one line about --pool: %s", name, args, r.status, r.stdout, r.stderr)
				}
			}
		}
		own := of(root, "devicemapper/devicemapper/metadata", "devicemapper/devicemapper/data")
		thintree(t, "ls", "--long", "--pool", own, source).must(t)
	}
	if mounted(mnt) {
		t.Error("it is mounted")
		thintree(t, "umount", "--lazy", mnt)
	}
}

// TestRecordOfAnotherDeviceIsReported has records of which the one names a device that was
// made for another, and the other one that the pool has not.
func TestRecordOfAnotherDeviceIsReported(t *testing.T) {
	t.Parallel()
	_, root := dockerCopy(t, "docker")
	editRecord(t, root, ranVolume, `"device_id":14`, `"device_id":12`)
	editRecord(t, root, ranVolume+"-init", `"device_id":13`, `"device_id":99`)
	source := "docker:" + root
	const other, missing = "it is another device", "the pool has no device 99"
	if r := thintree(t, "ls", source); r.status != 3 || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stdout, ranVolume+"\n") {
		t.Errorf("ls: exit status %d, %s%s", r.status, r.stdout, r.stderr)
	}
	r := thintree(t, "ls", "--long", source)
	if r.status != 3 || strings.Count(r.stderr, other) != 1 || strings.Count(r.stderr, missing) != 1 {
		t.Errorf("ls --long: exit status %d: %s", r.status, r.stderr)
	}
	if !strings.Contains(r.stdout, "(problem)") || strings.Contains(r.stdout, "data of no known kind") {
		t.Errorf("ls --long marks nothing:\n%s", r.stdout)
	}
	if r := thintree(t, "ls", "--json", source); r.status != 3 || !strings.Contains(r.stdout, other) || !strings.Contains(r.stdout, missing) {
		t.Errorf("ls --json: exit status %d: %s", r.status, r.stdout)
	}
	for volume, says := range map[string]string{ranVolume: other, ranVolume + "-init": missing} {
		if r := thintree(t, "info", source, volume); r.status != 3 || !strings.Contains(r.stdout, says) {
			t.Errorf("info %s: exit status %d: %s%s", volume, r.status, r.stdout, r.stderr)
		}
		if r := thintree(t, "ls", source, volume+":/"); r.status != 1 || r.stdout != "" || !strings.Contains(r.stderr, says) {
			t.Errorf("ls %s: exit status %d: %s%s", volume, r.status, r.stdout, r.stderr)
		}
	}
	thintree(t, "ls", source, "container:stopped-web:/").must(t)
	thintree(t, "info", source, webVolume).must(t)
	// Nobody's record names what ran's volume was.
	if names := thintree(t, "ls", source, "@14:/rootfs/app").must(t); !strings.Contains(names, "state.txt") {
		t.Errorf("@14 holds %s", names)
	}
	mnt := mount(t, source)
	if _, err := os.ReadDir(mnt + "/containers/ran/"); err == nil || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("containers/ran: %v, want EIO", err)
	}
	sh(t, mnt, "ls -lL by-id/pool/ volumes/ containers/stopped-web/ >/dev/null")
}

func TestDeletedVolumeIsLeftOut(t *testing.T) {
	t.Parallel()
	_, root := dockerCopy(t, "docker")
	editRecord(t, root, ranVolume, `"deleted":false`, `"deleted":true`)
	source := "docker:" + root
	if names := thintree(t, "ls", source).must(t); strings.Contains(names, ranVolume+"\n") || !strings.Contains(names, webVolume) {
		t.Errorf("ls: %s", names)
	}
	if text := thintree(t, "ls", "--long", source).must(t); !strings.Contains(text, "container, deleted") {
		t.Errorf("ls --long:\n%s", text)
	}
	if text := thintree(t, "info", source, "container:ran").must(t); !strings.Contains(text, "deleted") {
		t.Errorf("info:\n%s", text)
	}
	thintree(t, "ls", "--json", source).must(t)
	thintree(t, "ls", source, "@14:/rootfs/app").must(t)
	mnt := mount(t, source)
	for _, dir := range []string{"volumes", "raw"} {
		if text := sh(t, mnt, "ls "+dir); strings.Contains(text, ranVolume+"\n") || strings.Contains(text, ranVolume+".img") {
			t.Errorf("%s holds it:\n%s", dir, text)
		}
	}
	if text := sh(t, mnt, "cat by-id/pool/14"); !strings.Contains(text, `"state": "deleted"`) {
		t.Errorf("by-id/pool/14: %s", text)
	}
	sh(t, mnt, "find . >/dev/null && cp -r by-id containers images info pools "+t.TempDir())
}

func TestVolumeShorterThanItsFilesystemIsReported(t *testing.T) {
	t.Parallel()
	dir := pools.Containerd(t)
	source := "pool:" + filepath.Join(dir, "meta") + "," + filepath.Join(dir, "data")
	names := writeFile(t, "1 524288 half\n2 1048576 whole\n")
	const says = "its ext4 is 512 MiB long, but the volume only 256 MiB: what lies beyond cannot be read"
	r := thintree(t, "ls", "--long", "--names", names, source)
	if r.status != 3 || !strings.Contains(r.stderr, "thintree: half: "+says+"\n") || strings.Count(r.stderr, "what lies beyond") != 1 || !strings.Contains(r.stdout, "ext4 (problem)") {
		t.Errorf("ls --long: exit status %d: %s%s", r.status, r.stdout, r.stderr)
	}
	if r := thintree(t, "info", "--names", names, source, "half"); r.status != 3 || !strings.Contains(r.stdout, says) {
		t.Errorf("info: exit status %d: %s", r.status, r.stdout)
	}
	thintree(t, "info", "--names", names, source, "whole").must(t)
	log := logFile(t)
	mnt := mount(t, "--log-file", log, "--names", names, source)
	sh(t, mnt, "ls -lR volumes/half >/dev/null; ls -l volumes/half info raw; stat -f volumes/half")
	if text, err := os.ReadFile(log); err != nil || strings.Count(string(text), says) != 1 {
		t.Errorf("the log does not say once that %s: %v\n%s", says, err, text)
	}
}

// TestListOfADamagedPoolEndsWithAnError has a pool that has lost a leaf of each of the
// trees of devices.
func TestListOfADamagedPoolEndsWithAnError(t *testing.T) {
	t.Parallel()
	needs(t, tool("thin_restore"))
	dir := t.TempDir()
	xml := `<superblock uuid="" time="0" transaction="1" version="2" data_block_size="128" nr_data_blocks="16">`
	for id := range 600 {
		xml += fmt.Sprintf(`<device dev_id="%d" mapped_blocks="0" transaction="0" creation_time="0" snap_time="0"></device>`, id)
	}
	sh(t, dir, "truncate -s 4M meta; truncate -s 1M data; thin_restore -q -i "+writeFile(t, xml+"</superblock>")+" -o meta >/dev/null")
	meta, err := os.ReadFile(filepath.Join(dir, "meta"))
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	// Leaves of the device tree and of the details that have the same ids.
	for root, child := range map[int]uint32{320: 1, 328: 2} {
		node := meta[le.Uint64(meta[root:])*4096:]
		leaf := le.Uint64(node[32+8*(le.Uint32(node[20:])+child):])
		meta[leaf*4096+100] ^= 1
	}
	if err := os.WriteFile(filepath.Join(dir, "meta"), meta, 0o600); err != nil {
		t.Fatal(err)
	}
	source := "pool:" + dir + "/meta," + dir + "/data"
	if r := thintree(t, "ls", source); r.status != 3 || !strings.Contains(r.stdout, "@0\n") || strings.Count(r.stderr, "\n") != 2 {
		t.Errorf("ls: exit status %d, %s", r.status, r.stderr)
	}
	mnt := mount(t, source)
	for _, view := range []string{"by-id/pool", "volumes", "raw", "info"} {
		for range 2 { // the second time the kernel may know it
			r := runCommand(t, exec.Command("ls", "-f", filepath.Join(mnt, view)))
			if r.status == 0 || !strings.Contains(r.stderr, "Input/output error") || strings.Count(r.stdout, "\n") < 100 {
				t.Errorf("%s: exit status %d, %d entries: %s", view, r.status, strings.Count(r.stdout, "\n"), r.stderr)
			}
		}
	}
	if r := runCommand(t, exec.Command("find", filepath.Join(mnt, "by-id"))); r.status == 0 {
		t.Error("find takes it for the whole")
	}
}
