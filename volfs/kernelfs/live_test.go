package kernelfs_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"thintree/tests/manifest"
	"thintree/thin/loop"
	"thintree/volfs"
	"thintree/volfs/kernelfs"
)

// liveKinds are filesystems that are shown live on every kernel that has them.
var liveKinds = []struct{ fs, mkfs string }{
	{"ext4", "mkfs.ext4 -q"},
	{"xfs", "mkfs.xfs -q"},
	{"btrfs", "mkfs.btrfs -q"},
}

// eachLive runs a test with an empty volume of each kind, mounted by its owner.
func eachLive(t *testing.T, test func(t *testing.T, v volume)) {
	t.Parallel()
	for _, k := range liveKinds {
		t.Run(k.fs, func(t *testing.T) {
			t.Parallel()
			withLive(t, k.fs, k.mkfs, test)
		})
	}
}

func withLive(t *testing.T, fs, mkfs string, test func(t *testing.T, v volume)) {
	t.Helper()
	v := volume{device: device(t, mkfs), fs: fs, mnt: t.TempDir()}
	t.Cleanup(func() { exec.Command("umount", v.mnt).Run() })
	v.mount(t)
	test(t, v)
}

// volume is a block device with a filesystem, and the owner's mount point.
type volume struct{ device, fs, mnt string }

func (v volume) mount(t testing.TB) {
	t.Helper()
	sh(t, fmt.Sprintf("mount -t %s %s %s", v.fs, v.device, v.mnt))
}

func (v volume) number(t testing.TB) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(v.device, &st); err != nil {
		t.Fatal(err)
	}
	return st.Rdev
}

func (v volume) openLive(t testing.TB) *kernelfs.FS {
	t.Helper()
	k, err := kernelfs.OpenLive(t.Context(), v.number(t), volfs.Info{Type: v.fs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func TestChangesAreSeenAtOnce(t *testing.T) {
	eachLive(t, func(t *testing.T, v volume) {
		fs := v.openLive(t)
		for i := range 100 {
			name, text := fmt.Sprint("file", i), strings.Repeat(fmt.Sprint(i), 5000)
			if err := os.WriteFile(filepath.Join(v.mnt, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if got := contents(t, fs, name); got != text {
				t.Fatalf("%s has %d bytes, wants %d", name, len(got), len(text))
			}
		}
		sh(t, "cd "+v.mnt+"\n"+fill)
		if v.fs == "btrfs" {
			sh(t, fmt.Sprintf("cd %s; btrfs -q subvolume create sub; btrfs -q subvolume create sub/inner; echo text > sub/inner/file", v.mnt))
		}
		want, err := manifest.OfDir(t.Context(), v.mnt, manifest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := manifest.OfFS(t.Context(), fs, manifest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := manifest.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAMountPointMayHaveAnyName(t *testing.T) {
	t.Parallel()
	v := volume{device: device(t, "mkfs.btrfs -q"), fs: "btrfs", mnt: filepath.Join(t.TempDir(), "a b\tc\nd\\e#f")}
	if err := os.Mkdir(v.mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(v.device, v.mnt, v.fs, 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(v.mnt, 0)
	if err := os.WriteFile(filepath.Join(v.mnt, "file"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, v.openLive(t), "file"); got != "text" {
		t.Errorf("file has %q", got)
	}
}

// contents returns the content of a file in the root folder.
func contents(t *testing.T, fs *kernelfs.FS, name string) string {
	t.Helper()
	f := openFile(t, fs, name)
	defer f.Close()
	all, err := io.ReadAll(io.NewSectionReader(volfs.ReaderAt(t.Context(), f), 0, 1<<40))
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

func openFile(t *testing.T, fs *kernelfs.FS, name string) volfs.File {
	t.Helper()
	ino, err := fs.Lookup(t.Context(), fs.Root(), name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fs.Open(t.Context(), ino)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestReadingALiveVolumeChangesNoAtime(t *testing.T) {
	eachLive(t, func(t *testing.T, v volume) {
		// With strictatime, or an atime before the mtime, a read would change the atime.
		sh(t, fmt.Sprintf("mount -o remount,strictatime %s; cd %[1]s; mkdir dir; echo text > file; ln -s file link; touch -a -h -d @1000000000 dir file link .", v.mnt))
		fs := v.openLive(t)
		contents(t, fs, "file")
		link, err := fs.Lookup(t.Context(), fs.Root(), "link")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fs.Readlink(t.Context(), link); err != nil {
			t.Error(err)
		}
		if err := fs.ReadDir(t.Context(), fs.Root(), 0, func(volfs.DirEntry) bool { return true }); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"dir", "file", "link", "."} {
			var st unix.Stat_t
			if err := unix.Lstat(filepath.Join(v.mnt, name), &st); err != nil {
				t.Fatal(err)
			}
			if st.Atim.Sec != 1000000000 {
				t.Errorf("%s: read at %d", name, st.Atim.Sec)
			}
		}
	})
}

func TestAnOpenFileHoldsTheDeviceUntilItIsClosed(t *testing.T) {
	eachLive(t, func(t *testing.T, v volume) {
		sh(t, "head -c 300000 /dev/zero | tr '\\0' x > "+v.mnt+"/file")
		fs := v.openLive(t)
		f := openFile(t, fs, "file")
		v.isMountedOnlyAt(t)
		sh(t, "umount "+v.mnt)
		if !busy(v.device) {
			t.Error("the device is free, and a file in it is open")
		}
		all, err := io.ReadAll(io.NewSectionReader(volfs.ReaderAt(t.Context(), f), 0, 1<<40))
		if err != nil || string(all) != strings.Repeat("x", 300000) {
			t.Errorf("%d bytes are read after umount: %v", len(all), err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		// A child process that another test forks has the file too, until its exec.
		soon(t, "the device is free after the file is closed", func() bool { return !busy(v.device) })
		_, err = fs.Stat(t.Context(), fs.Root())
		if !errors.Is(err, kernelfs.ErrNotMounted) || !errors.Is(err, syscall.ESTALE) {
			t.Errorf("Stat after umount: %v", err)
		}
		v.mount(t)
		if _, err := fs.Stat(t.Context(), fs.Root()); err != nil {
			t.Errorf("Stat after the next mount: %v", err)
		}
	})
}

// isMountedOnlyAt fails if a mount of ours is visible.
func (v volume) isMountedOnlyAt(t *testing.T) {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(table), " "+v.device+" "); n != 1 {
		t.Errorf("%s is in the mount table %d times", v.device, n)
	}
}

// busy reports whether a device is exclusively in use.
func busy(device string) bool {
	fd, err := unix.Open(device, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err == unix.EBUSY
}

// stress calls every method of a filesystem in a loop, until it is stopped. used counts the
// rounds.
func stress(t *testing.T, fs *kernelfs.FS, used *atomic.Int64) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				switch err := useAll(t, fs); {
				case err == nil:
					used.Add(1)
				case !errors.Is(err, kernelfs.ErrNotMounted):
					t.Error(err)
					return
				}
			}
		})
	}
	return func() {
		close(done)
		all.Wait()
	}
}

func useAll(t *testing.T, fs *kernelfs.FS) error {
	ino, err := fs.Lookup(t.Context(), fs.Root(), "file")
	if err != nil {
		return err
	}
	if _, err := fs.Stat(t.Context(), ino); err != nil {
		return err
	}
	if _, err := fs.Xattrs(t.Context(), ino); err != nil {
		return err
	}
	if err := fs.ReadDir(t.Context(), fs.Root(), 0, func(volfs.DirEntry) bool { return true }); err != nil {
		return err
	}
	if _, err := fs.Statfs(t.Context()); err != nil {
		return err
	}
	f, err := fs.Open(t.Context(), ino)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.ReadAll(io.NewSectionReader(volfs.ReaderAt(t.Context(), f), 0, 1<<20))
	return err
}

func TestOwnersAreNotDisturbed(t *testing.T) {
	eachLive(t, func(t *testing.T, v volume) {
		sh(t, "echo text > "+v.mnt+"/file")
		var used atomic.Int64
		stop := stress(t, v.openLive(t), &used)
		defer stop()
		const rounds = 25
		refused, slowest := 0, time.Duration(0)
		for range rounds {
			soon(t, "the volume is used", func() bool { return used.Load() > 0 })
			if umounted(t, v.mnt) != nil {
				refused++
				soon(t, "the second try unmounts it", func() bool { return umounted(t, v.mnt) == nil })
			}
			umount := time.Now()
			soon(t, "the device is free after umount", func() bool { return !busy(v.device) })
			slowest = max(slowest, time.Since(umount))
			used.Store(0)
			// A mount(8) of another test may claim the device for a moment: see package
			// loopmount.
			soon(t, "the device is mounted again", func() bool {
				err := unix.Mount(v.device, v.mnt, v.fs, 0, "")
				if err != nil && err != unix.EBUSY {
					t.Fatalf("mount again: %v", err)
				}
				return err == nil
			})
		}
		t.Logf("%d umounts in use, %d were refused at first; the device was free after at most %v", rounds, refused, slowest)
		// The mount of a btrfs is cloned: see clone.
		if refused > 0 && v.fs != "btrfs" || refused > rounds/2 {
			t.Errorf("%d umounts were refused", refused)
		}
	})
}

func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); runtime.Gosched() {
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// umounted unmounts. It returns an error if the mount is in use.
func umounted(t *testing.T, mnt string) error {
	t.Helper()
	err := unix.Unmount(mnt, 0)
	if err != nil && err != unix.EBUSY {
		t.Fatal(err)
	}
	return err
}

// Not in parallel: a new mount namespace has a copy of every mount, so filesystems that
// other tests unmount meanwhile stay busy.
func TestAVolumeMountedInAnotherNamespaceIsFound(t *testing.T) {
	for _, k := range liveKinds {
		t.Run(k.fs, func(t *testing.T) { withLive(t, k.fs, k.mkfs, isFoundElsewhere) })
	}
}

func isFoundElsewhere(t *testing.T, v volume) {
	sh(t, "umount "+v.mnt)
	end := v.mountElsewhere(t)
	defer end()
	fs := v.openLive(t)
	if got := contents(t, fs, "file"); got != "text\n" {
		t.Errorf("file has %q", got)
	}
	for range 20 {
		if err := useAll(t, fs); err != nil {
			t.Error(err)
		}
	}
	inOneNamespace(t)
	// The namespace ends with its last process, and the mount with it.
	end()
	soon(t, "the device is free when its owner has ended", func() bool { return !busy(v.device) })
	if err := useAll(t, fs); !errors.Is(err, kernelfs.ErrNotMounted) {
		t.Errorf("after its owner has ended: %v", err)
	}
}

// mountElsewhere mounts a volume in a mount namespace of its own, with a file in it,
// until end is called.
func (v volume) mountElsewhere(t testing.TB) (end func()) {
	t.Helper()
	script := fmt.Sprintf("mount -t %s %s %s && echo text > %[3]s/file && echo mounted && read line", v.fs, v.device, v.mnt)
	owner := exec.Command("unshare", "-m", "sh", "-ec", script)
	in, err := owner.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() {
		in.Close()
		owner.Wait()
	}
	if _, err := io.ReadFull(out, make([]byte, len("mounted\n"))); err != nil {
		end()
		t.Fatal(err)
	}
	return end
}

// inOneNamespace fails if a thread of this process is in another mount namespace.
func inOneNamespace(t *testing.T) {
	t.Helper()
	threads, err := filepath.Glob("/proc/self/task/*/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		if ns, err := os.Readlink(thread); err == nil && ns != own {
			t.Errorf("%s is %s", thread, ns)
		}
	}
}

func TestAnotherFilesystemAtTheSamePathIsNeverShown(t *testing.T) {
	eachLive(t, func(t *testing.T, v volume) {
		sh(t, "echo right > "+v.mnt+"/file")
		other := volume{device: device(t, "mkfs."+v.fs+" -q"), fs: v.fs, mnt: v.mnt}
		fs := v.openLive(t)
		sh(t, "umount "+v.mnt)
		other.mount(t)
		sh(t, "echo wrong > "+v.mnt+"/file")
		if err := useAll(t, fs); !errors.Is(err, kernelfs.ErrNotMounted) {
			t.Errorf("with another one mounted: %v", err)
		}
		sh(t, "umount "+v.mnt)
		v.mount(t)
		other.mount(t) // on top
		elsewhere := v
		elsewhere.mnt = t.TempDir()
		t.Cleanup(func() { exec.Command("umount", elsewhere.mnt).Run() })
		elsewhere.mount(t)
		if got := contents(t, fs, "file"); got != "right\n" {
			t.Errorf("beneath another one it has %q", got)
		}
		sh(t, "umount "+v.mnt)
	})
}

func TestAVolumeThatIsNotMountedIsLeftAlone(t *testing.T) {
	eachLive(t, func(t *testing.T, v volume) {
		sh(t, "echo text > "+v.mnt+"/file")
		fs := v.openLive(t)
		// On the device the journal is not empty now.
		sh(t, "echo more > "+v.mnt+"/more; sync -f "+v.mnt+"/more")
		crashed := filepath.Join(t.TempDir(), "crashed")
		sh(t, fmt.Sprintf("cp --sparse=always %s %s; umount %s", v.device, crashed, v.mnt))
		soon(t, "the device is free after umount", func() bool { return !busy(v.device) })
		sum := hash(t, v.device)
		l, err := loop.Attach(t.Context(), crashed, loop.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		dirty := volume{device: l.Path(), fs: v.fs}
		before := hash(t, dirty.device)
		if _, err := kernelfs.OpenLive(t.Context(), dirty.number(t), volfs.Info{Type: v.fs}); !errors.Is(err, kernelfs.ErrNotMounted) {
			t.Errorf("OpenLive: %v", err)
		}
		if err := useAll(t, fs); !errors.Is(err, kernelfs.ErrNotMounted) {
			t.Errorf("used: %v", err)
		}
		if !bytes.Equal(hash(t, v.device), sum) || !bytes.Equal(hash(t, dirty.device), before) {
			t.Error("the device has changed")
		}
	})
}

func TestATypeThatIsNotShownLiveIsUnsupported(t *testing.T) {
	t.Parallel()
	_, err := kernelfs.OpenLive(t.Context(), 0, volfs.Info{Type: "vfat"})
	var unsupported *volfs.UnsupportedError
	if !errors.As(err, &unsupported) || !errors.Is(err, kernelfs.ErrNotMounted) {
		t.Errorf("%v", err)
	}
}

func hash(t *testing.T, device string) []byte {
	t.Helper()
	f, err := os.Open(device)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return h.Sum(nil)
}

// BenchmarkLive measures an operation. The mount of btrfs is cloned, in our own mount
// namespace or in another one. The others are joined.
func BenchmarkLive(b *testing.B) {
	for _, k := range liveKinds {
		for _, where := range []string{"own", "foreign"} {
			b.Run(k.fs+"/"+where, func(b *testing.B) {
				v := volume{device: device(b, k.mkfs), fs: k.fs, mnt: b.TempDir()}
				if where == "own" {
					v.mount(b)
					defer exec.Command("umount", v.mnt).Run()
				} else {
					defer v.mountElsewhere(b)()
				}
				fs := v.openLive(b)
				for b.Loop() {
					if _, err := fs.Stat(b.Context(), fs.Root()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
