package guest

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/tests/manifest"
	"thintree/volfs"
	"thintree/volfs/kernelfs"
)

// liveVolumes are filesystems that kernelfs shows while somebody has them mounted.
var liveVolumes = []struct{ fs, mkfs, as string }{
	{"ext4", "mkfs.ext4 -q", "ext4"},
	{"ext2", "mkfs.ext2 -q", "ext2"},
	{"ext3", "mkfs.ext3 -q", "ext4"},
	{"xfs", "mkfs.xfs -q", "xfs"},
	{"btrfs", "mkfs.btrfs -q", "btrfs"},
	{"f2fs", "mkfs.f2fs -q", "f2fs"},
}

func TestKernelFSOfAMountedThinVolume(t *testing.T) {
	Run(t, func(t *testing.T) {
		p := newPool(t, t.TempDir())
		for id, v := range liveVolumes {
			t.Run(v.fs, func(t *testing.T) {
				loadModule(t, v.as)
				p.create(t, id)
				mnt := t.TempDir()
				remount := fmt.Sprintf("dmsetup create live --table '0 %d thin /dev/mapper/pool %d'; mount -t %s /dev/mapper/live %s", engineSectors, id, v.as, mnt)
				sh(t, fmt.Sprintf(`
dmsetup create live --table '0 %d thin /dev/mapper/pool %d'; %s /dev/mapper/live; dmsetup remove live; %s; cd %s
mkdir dir; echo hello > dir/file; ln -s dir/file link; head -c 100000 /dev/urandom > random`, engineSectors, id, v.mkfs, remount, mnt))
				t.Cleanup(func() { sh(t, "umount "+mnt+" && dmsetup remove live || true") })
				fs := openLive(t, v.fs)
				state := mountedState(t)
				sameAsMounted(t, fs, mnt)
				if now := mountedState(t); now != state {
					t.Errorf("not in use it is\n%s\nand before was\n%s", now, state)
				}
				for range 2 {
					ownerLeaves(t, fs, mnt)
					sh(t, remount)
					if err := readRandom(t, fs); !errors.Is(err, kernelfs.ErrNotMounted) {
						t.Errorf("of another device with its number: %v", err)
					}
					fs = openLive(t, v.fs)
				}
				sh(t, "mount -o remount,ro "+mnt)
				sameAsMounted(t, fs, mnt)
			})
		}
	})
}

// loadModule loads the module of a filesystem that the guest's kernel may have as one.
func loadModule(t *testing.T, fstype string) {
	t.Helper()
	sh(t, "modprobe -d $(dirname $(readlink /proc/1/exe)) "+fstype+" || grep -w "+fstype+" /proc/filesystems")
}

func openLive(t *testing.T, fstype string) *kernelfs.FS {
	t.Helper()
	var st unix.Stat_t
	noError(t, unix.Stat("/dev/mapper/live", &st))
	fs, err := kernelfs.OpenLive(t.Context(), st.Rdev, volfs.Info{Type: fstype})
	noError(t, err)
	t.Cleanup(func() { noError(t, fs.Close()) })
	return fs
}

// mountedState is how often the device is open, and how it is mounted.
func mountedState(t *testing.T) string {
	t.Helper()
	return sh(t, "dmsetup info -c --noheadings -o open live; grep mapper/live /proc/self/mounts")
}

func sameAsMounted(t *testing.T, fs *kernelfs.FS, mnt string) {
	t.Helper()
	want, err := manifest.OfDir(t.Context(), mnt, manifest.Options{})
	noError(t, err)
	got, err := manifest.OfFS(t.Context(), fs, manifest.Options{})
	noError(t, err)
	if diff := manifest.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// ownerLeaves unmounts and removes the device, as its owner, while the volume is read.
func ownerLeaves(t *testing.T, fs *kernelfs.FS, mnt string) {
	t.Helper()
	var reading sync.WaitGroup
	var read atomic.Int64
	ended := make(chan struct{})
	defer reading.Wait()
	defer close(ended)
	reading.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
			}
			err := readRandom(t, fs)
			if err != nil && !errors.Is(err, kernelfs.ErrNotMounted) {
				t.Error(err)
				return
			}
			read.Add(1)
		}
	})
	within(t, seconds, "it is read", func() error {
		if read.Load() < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	within(t, seconds, "the owner unmounts it", func() error { return unix.Unmount(mnt, 0) })
	within(t, seconds, "the device goes", func() error {
		return exec.Command("dmsetup", "remove", "live").Run()
	})
	if strings.Contains(sh(t, "dmsetup ls"), "live") {
		t.Error("the device is there")
	}
}

func readRandom(t *testing.T, fs *kernelfs.FS) error {
	ino, err := fs.Lookup(t.Context(), fs.Root(), "random")
	if err != nil {
		return err
	}
	f, err := fs.Open(t.Context(), ino)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, io.NewSectionReader(volfs.ReaderAt(t.Context(), f), 0, 100000))
	return err
}
