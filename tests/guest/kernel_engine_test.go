package guest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"thintree/tests/manifest"
)

// engineVolumes are the volumes of the pool that these tests read.
var engineVolumes = []struct{ name, mkfs, options string }{
	{"ext4", "mkfs.ext4 -q", "ro,noload"},
	{"xfs", "mkfs.xfs -q", "ro,norecovery,nouuid"},
	{"btrfs", "mkfs.btrfs -q", "ro,rescue=nologreplay"},
}

const engineSectors = 786432 // what mkfs.xfs wants at least, and more

func TestKernelEngine(t *testing.T) {
	Run(t, func(t *testing.T) {
		p := newPool(t, t.TempDir())
		want := fillEngineVolumes(t, p)
		source := []string{"--names", engineNames(t), "pool:" + p.metadataFile + "," + p.dataFile}
		before := kernelState(t)

		t.Run("of an active pool", func(t *testing.T) {
			mnt := mountTree(t, append([]string{"--idle", "2s", "--engine", "kernel"}, source...)...)
			isIdle(t, before, func() { sh(t, "ls -l "+mnt+"/volumes "+mnt+"/info && cat "+mnt+"/pools/*") })
			for _, v := range engineVolumes {
				// With a file open, so that it stays.
				if n := strings.Count(sh(t, "exec <"+filepath.Join(mnt, "volumes", v.name, "dir/file")+"; dmsetup ls --target linear"), lentPrefix); n != 1 {
					t.Errorf("%s is read: %d devices are active for it", v.name, n)
				}
				equal(t, want[v.name], filepath.Join(mnt, "volumes", v.name))
				within(t, seconds, "it is closed when it is idle", func() error { return sameState(t, before) })
			}
		})
		t.Run("what only the kernel reads", func(t *testing.T) {
			mnt := mountTree(t, append([]string{"--engine", "direct"}, source...)...)
			equal(t, want["ext4"], filepath.Join(mnt, "volumes/ext4"))
			for _, name := range []string{"xfs", "btrfs"} {
				_, err := os.ReadDir(filepath.Join(mnt, "volumes", name))
				wants(t, name+" by the direct engine", err, syscall.EMEDIUMTYPE)
				if info := sh(t, "cat "+mnt+"/info/"+name+".json"); !strings.Contains(info, `"holds": "`+name) {
					t.Errorf("its info does not name %s: %s", name, info)
				}
			}
			noError(t, sameState(t, before))
		})
		within(t, seconds, "the pool is free", func() error { return exec.Command("dmsetup", "remove", "pool").Run() })
		sh(t, "losetup -D")
		before = kernelState(t)
		t.Run("of a pool that is not active", func(t *testing.T) {
			mnt := mountTree(t, append([]string{"--idle", "1s", "--engine", "kernel"}, source...)...)
			for _, v := range engineVolumes {
				equal(t, want[v.name], filepath.Join(mnt, "volumes", v.name))
			}
			file := filepath.Join(mnt, "volumes", engineVolumes[0].name, "dir/file")
			if !strings.Contains(sh(t, "exec <"+file+"; dmsetup table || true"), " read_only") {
				t.Error("the pool is not active read-only")
			}
			within(t, seconds, "the pool goes with its last volume", func() error { return sameState(t, before) })
		})
	})
}

// fillEngineVolumes makes the volumes, and returns what the kernel's own mount of
// each shows.
func fillEngineVolumes(t *testing.T, p *pool) map[string]manifest.Manifest {
	t.Helper()
	want := map[string]manifest.Manifest{}
	for id, v := range engineVolumes {
		p.create(t, id)
		dir := t.TempDir()
		sh(t, fmt.Sprintf(`
dmsetup create filled --table '0 %d thin /dev/mapper/pool %d'
%s /dev/mapper/filled
mount /dev/mapper/filled %[4]s; cd %[4]s
mkdir -p dir/deep; echo hello > dir/file; ln dir/file hard; ln -s dir/file link; mkfifo pipe; mknod null c 1 3
setfattr -n user.a -v value dir/file; chmod 4750 dir/file; chown 1000:1001 dir
printf data | dd of=sparse bs=1 seek=3000000 conv=notrunc status=none
head -c 300000 /dev/urandom > random
cd /; umount %[4]s; mount -o %[5]s /dev/mapper/filled %[4]s`, engineSectors, id, v.mkfs, dir, v.options))
		m, err := manifest.OfDir(t.Context(), dir, manifest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		want[v.name] = m
		sh(t, "umount "+dir+"; dmsetup remove filled")
	}
	return want
}

func engineNames(t *testing.T) string {
	t.Helper()
	var lines strings.Builder
	for id, v := range engineVolumes {
		fmt.Fprintln(&lines, id, engineSectors, v.name)
	}
	path := filepath.Join(t.TempDir(), "names")
	if err := os.WriteFile(path, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func equal(t *testing.T, want manifest.Manifest, dir string) {
	t.Helper()
	got, err := manifest.OfDir(t.Context(), dir, manifest.Options{})
	if err != nil {
		t.Error(err)
		return
	}
	if diff := manifest.Diff(want, got); diff != "" {
		t.Errorf("%s: %s", dir, diff)
	}
}

// kernelState is what is active in the kernel, and what the pool says of itself. A
// device that goes just now makes dmsetup fail.
func kernelState(t *testing.T) string {
	t.Helper()
	return sh(t, "dmsetup info -c --noheadings -o name,uuid,open || true; dmsetup status --noflush || true; losetup -a; grep -v -e fuse -e hostfs /proc/self/mounts | sort")
}

func sameState(t *testing.T, before string) error {
	t.Helper()
	if now := kernelState(t); now != before {
		return fmt.Errorf("in the kernel is\n%s\nand before was\n%s", now, before)
	}
	return nil
}

func isIdle(t *testing.T, before string, look func()) {
	t.Helper()
	look()
	if err := sameState(t, before); err != nil {
		t.Errorf("looking at lists: %v", err)
	}
}

// server is the process that serves a tree.
func server(t *testing.T, mnt string) int {
	t.Helper()
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range procs {
		text, err := os.ReadFile(p)
		if err == nil && strings.Contains(string(text), "\x00mount\x00") && strings.HasSuffix(string(text), mnt+"\x00") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(p)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("no process serves %s", mnt)
	return 0
}
