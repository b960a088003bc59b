package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"thintree/tests/loopmount"
	"thintree/tests/pools"
)

// TestWrongInputIsOneLineThatSaysWhatToDo holds each failure to its exit status
// and to one line on standard error.
func TestWrongInputIsOneLineThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	docker := pools.Docker(t)
	pool := func(name string) string { return filepath.Join(docker, "devicemapper/devicemapper", name) }
	path := func(name string) string { return filepath.Join(dir, name) }
	good, err := os.ReadFile(pool("metadata"))
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, data []byte) string {
		if err := os.WriteFile(path(name), data, 0o644); err != nil {
			t.Fatal(err)
		}
		return path(name)
	}
	put("zeros", make([]byte, 1<<20))
	put("short", good[:4095])
	put("text", []byte(strings.Repeat("not a pool ", 1000)))
	flipped := append([]byte(nil), good[:1<<20]...)
	flipped[50] ^= 1
	put("flipped", flipped)
	put("disk.qcow2", append([]byte("QFI\xfb\x00\x00\x00\x03"), make([]byte, 8192)...))
	put("disk.vmdk", append([]byte("KDMV\x01\x00\x00\x00"), make([]byte, 8192)...))
	put("disk.E01", append([]byte("EVF\x09\x0d\x0a\xff\x00"), make([]byte, 8192)...))
	for _, d := range []string{"empty", "mnt"} {
		if err := os.Mkdir(path(d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"a path that is missing", []string{"ls", path("missing")}, 1, "no such file"},
		{"a root that is missing", []string{"ls", "docker:" + path("missing")}, 1, "no such"},
		{"a root of another driver", []string{"ls", "docker:" + path("empty")}, 1, "is this a Docker root with the devicemapper driver?"},
		{"a folder of nothing known", []string{"ls", path("empty")}, 1, "devicemapper/metadata"},
		{"a store that is none", []string{"ls", "store:" + docker}, 1, "is this a store?"},
		{"a store without a name", []string{"ls", "store:"}, 2, "store:/"},
		{"names for a store", []string{"ls", "--names", path("text"), "store:" + docker}, 2, "--names"},
		{"half a pool of a store", []string{"ls", "--pool", "/x", "store:" + docker}, 2, "META,DATA"},
		{"an unknown kind of source", []string{"ls", "stores:" + docker}, 2, "store:DIR"},
		{"no pool", []string{"ls", "pool:" + path("text") + "," + pool("data")}, 1, "pool"},
		{"metadata of zeros", []string{"ls", "pool:" + path("zeros") + "," + pool("data")}, 1, "zero"},
		{"metadata cut short", []string{"ls", "pool:" + path("short") + "," + pool("data")}, 1, "short"},
		{"a wrong checksum", []string{"ls", "pool:" + path("flipped") + "," + pool("data")}, 1, "checksum"},
		{"a pool of one half", []string{"ls", "pool:" + pool("metadata")}, 2, "META,DATA"},
		{"one file of a pool", []string{"ls", pool("metadata")}, 1, "META,DATA"},
		{"qcow2", []string{"ls", path("disk.qcow2")}, 1, "qemu-nbd"},
		{"qcow2 as a half", []string{"ls", "pool:" + path("disk.qcow2") + "," + pool("data")}, 1, "qemu-nbd"},
		{"VMDK", []string{"ls", path("disk.vmdk")}, 1, "qemu-nbd"},
		{"E01", []string{"ls", path("disk.E01")}, 1, "ewfmount"},
		{"no metadata snapshot", []string{"ls", "--held-root", "docker:" + docker}, 1, "snapshot"},
		{"an unknown kind", []string{"ls", "floppy:/dev/fd0"}, 2, "no such kind"},
		{"an unknown flag", []string{"ls", "--frobnicate", "docker:" + docker}, 2, "frobnicate"},
		{"an unknown command", []string{"frobnicate"}, 2, "frobnicate"},
		{"an unknown option", []string{"mount", "-o", "frobnicate", "docker:" + docker, path("mnt")}, 2, "frobnicate"},
		{"too few arguments", []string{"cat", "docker:" + docker}, 2, "VOLUME:/PATH"},
		{"an unknown volume", []string{"ls", "docker:" + docker, "nosuch"}, 1, "no such volume"},
		{"an unknown container", []string{"ls", "docker:" + docker, "container:nosuch"}, 1, "no such"},
		{"a path in a volume that is missing", []string{"cat", "docker:" + docker, "container:ran:/no/such"}, 1, "no such file"},
		{"a folder to cat", []string{"cat", "docker:" + docker, "container:ran:/etc"}, 1, "is a directory"},
		{"a mountpoint that is missing", []string{"mount", "docker:" + docker, path("missing")}, 1, "no such file"},
		{"a mountpoint that is a file", []string{"mount", "docker:" + docker, path("text")}, 1, "not a folder"},
		{"a mount of nothing", []string{"umount", path("mnt")}, 1, "no thintree is mounted"},
		{"a failure in the background", []string{"mount", "docker:" + path("empty"), path("mnt")}, 1, "is this a Docker root"},
		{"names without a file", []string{"ls", "--names", path("missing"), "pool:" + pool("metadata") + "," + pool("data")}, 1, "missing"},
		{"a names file that is wrong", []string{"ls", "--names", put("names", []byte("1 8 a\n1 8 b\n")), "pool:" + pool("metadata") + "," + pool("data")}, 1, "2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := thintree(t, c.args...)
			if r.status != c.status {
				t.Errorf("exit status %d, want %d", r.status, c.status)
			}
			if strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "thintree: ") || !strings.Contains(r.stderr, c.says) {
				t.Errorf("want one line that says %q, got:\n%s", c.says, r.stderr)
			}
			if r.stdout != "" {
				t.Errorf("standard output: %q", r.stdout)
			}
		})
	}
}

func TestMountpointThatIsOursIsRefused(t *testing.T) {
	t.Parallel()
	mnt := mount(t, "docker:"+pools.Docker(t))
	if r := thintree(t, "mount", "docker:"+pools.Docker(t), mnt); r.status != 1 || !strings.Contains(r.stderr, "mounted here already") {
		t.Errorf("exit status %d: %s", r.status, r.stderr)
	}
}

// TestShortDataFileMountsWithAWarning cuts the data file: what lies in it is
// shown, what lies beyond it is an error.
func TestShortDataFileMountsWithAWarning(t *testing.T) {
	t.Parallel()
	docker := filepath.Join(t.TempDir(), "docker")
	sh(t, "/", "cp -a --sparse=always "+pools.Docker(t)+" "+docker)
	// The base volume begins at data block 770; the first layers come before.
	if err := os.Truncate(filepath.Join(docker, "devicemapper/devicemapper/data"), 900<<16); err != nil {
		t.Fatal(err)
	}
	mnt := t.TempDir()
	r := thintree(t, "mount", "docker:"+docker, mnt)
	t.Cleanup(func() { thintree(t, "umount", "--lazy", mnt) })
	if r.status != 0 || !strings.Contains(r.stderr, "data") {
		t.Fatalf("exit status %d, want a warning about the data file: %s", r.status, r.stderr)
	}
	sh(t, mnt, "ls -l volumes/base/ >/dev/null")
	if r := runCommand(t, exec.Command("cat", mnt+"/raw/7142713d95333654aca9df726cee3e776bee6a31b2ee6d361fd013ed062b5d20.img")); r.status == 0 || !strings.Contains(r.stderr, "Input/output error") {
		t.Errorf("reading what lies beyond the data file: exit status %d: %s", r.status, r.stderr)
	}
}

func TestVolumeWithoutAFilesystemSaysSo(t *testing.T) {
	t.Parallel()
	mnt := mount(t, lvmPool(t)...)
	without := []string{"vm-100-disk-0/p3"}
	if *engine != "kernel" {
		without = append(without, "xfsvol")
	}
	for _, dir := range without {
		if _, err := os.ReadDir(filepath.Join(mnt, "volumes", dir)); err == nil || !strings.Contains(err.Error(), "wrong medium type") {
			t.Errorf("%s: got %v, want EMEDIUMTYPE", dir, err)
		}
	}
	if text := sh(t, mnt, "cat info/xfsvol.json"); !strings.Contains(text, "xfs") {
		t.Errorf("info says nothing of xfs: %s", text)
	}
}

// TestCopyReportsWhatItsDestinationCannotHold copies a file with an attribute to a
// filesystem whose blocks are too small for it.
func TestCopyReportsWhatItsDestinationCannotHold(t *testing.T) {
	t.Parallel()
	needs(t, root, tool("mke2fs"), tool("debugfs"), tool("thin_restore"))
	dir := t.TempDir()
	sh(t, dir, `mkdir d mnt && echo hi >d/f && truncate -s 64M data && mke2fs -q -F -t ext4 -b 4096 -d d data &&
		head -c 1024 /dev/zero | tr '\0' x >value && debugfs -w -R 'ea_set -f value /f user.big' data 2>&1 | tail -n +2
		cat >pool.xml <<-END
		<superblock uuid="" time="0" transaction="1" version="2" data_block_size="128" nr_data_blocks="1024">
		<device dev_id="1" mapped_blocks="1024" transaction="0" creation_time="0" snap_time="0">
		<range_mapping origin_begin="0" data_begin="0" length="1024" time="0"/></device></superblock>
		END
		truncate -s 4M meta && thin_restore -i pool.xml -o meta >/dev/null && echo 1 131072 v >names
		truncate -s 8M small && mke2fs -q -F -t ext4 -I 128 -b 1024 small 2>&1`)
	loopmount.Mount(t, filepath.Join(dir, "small"), filepath.Join(dir, "mnt"))
	t.Cleanup(func() {
		if err := syscall.Unmount(filepath.Join(dir, "mnt"), 0); err != nil {
			t.Error(err)
		}
	})
	cp := func(dest string) result {
		return thintree(t, "cp", "--engine", "direct", "--names", filepath.Join(dir, "names"), "pool:"+dir+"/meta,"+dir+"/data", "v:/f", dest)
	}
	r := cp(dir + "/mnt/f")
	if r.status != 3 {
		t.Errorf("exit status %d", r.status)
	}
	for _, says := range []string{"user.big of 1024 bytes", "mnt/f", "no space left", "the destination cannot hold it", "1 extended attribute"} {
		if !strings.Contains(r.stderr, says) {
			t.Errorf("it does not say %q: %s", says, r.stderr)
		}
	}
	if got := sh(t, dir, "cat mnt/f"); got != "hi\n" {
		t.Errorf("the copy holds %q", got)
	}
	cp(dir + "/whole").must(t)
}
