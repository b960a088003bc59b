package resolve

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// silent is a tree that answers no request, except to mount it, until it is released.
type silent struct {
	fuse.RawFileSystem
	released chan struct{}
}

func (s *silent) Lookup(_ <-chan struct{}, _ *fuse.InHeader, _ string, _ *fuse.EntryOut) fuse.Status {
	<-s.released
	return fuse.ENOENT
}

func (s *silent) GetAttr(_ <-chan struct{}, _ *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	<-s.released
	out.Attr = fuse.Attr{Ino: 1, Mode: unix.S_IFDIR | 0o755, Nlink: 1}
	return fuse.OK
}

// mountSilent mounts a silent tree. release makes it answer.
func mountSilent(t *testing.T, dir string) (release func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: FUSE")
	}
	s := &silent{fuse.NewDefaultRawFileSystem(), make(chan struct{})}
	server, err := fuse.NewServer(s, dir, &fuse.MountOptions{Name: "thintree", FsName: "silent", DirectMountStrict: true})
	if err != nil {
		t.Skipf("needs FUSE: %v", err)
	}
	go server.Serve()
	if err := server.WaitMount(); err != nil {
		t.Fatal(err)
	}
	released := false
	release = func() {
		if !released {
			close(s.released)
		}
		released = true
	}
	t.Cleanup(func() {
		release()
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return release
}

// within fails the test if do hangs.
func within(t *testing.T, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: it hangs", what)
	}
}

// No other test may call Seal, which lasts for the whole process.
func TestTreeMountedAfterSealIsNotEntered(t *testing.T) {
	dir := realTemp(t)
	layOut(t, dir, "older/", "source/below/file", "other/", "way -> source/below/file", "bound/")
	release := mountSilent(t, dir+"/older")
	release()
	if _, err := Stat(dir + "/older/x"); !errors.Is(err, unix.ENOENT) {
		t.Fatal(err)
	}
	folder, err := Open(dir+"/source", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(folder)
	Seal()
	mountSilent(t, dir+"/source/below")
	if err := unix.Mount(dir+"/source/below", dir+"/bound", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir+"/bound", unix.MNT_DETACH)
	for what, do := range map[string]func() error{
		"stat of its root":  func() error { _, err := Stat(dir + "/source/below"); return err },
		"stat":              func() error { _, err := Stat(dir + "/source/below/file"); return err },
		"open":              func() error { _, err := Open(dir+"/source/below/file", unix.O_RDONLY); return err },
		"by a link":         func() error { _, err := Stat(dir + "/way"); return err },
		"in and out again":  func() error { _, err := Stat(dir + "/source/below/x/../../other"); return err },
		"Within, by a link": func() error { _, err := Within(dir, dir+"/way"); return err },
		"At, below it":      func() error { _, err := At(folder, "below/file", unix.O_RDONLY); return err },
		"At, its root":      func() error { _, err := At(folder, "below", unix.O_RDONLY); return err },
		"by a bind mount":   func() error { _, err := Stat(dir + "/bound/file"); return err },
		"a trail":           func() error { _, err := Trail(dir + "/source/below/file"); return err },
	} {
		within(t, what, func() {
			if err := do(); !errors.As(err, new(*TreeError)) {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
	for what, do := range map[string]func() error{
		"its path":         func() error { _, err := Real(dir + "/source/below"); return err },
		"beside it":        func() error { _, err := Stat(dir + "/source/below/../../other"); return err },
		"the folder above": func() error { _, err := Stat(dir + "/source"); return err },
	} {
		within(t, what, func() {
			if err := do(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
	within(t, "an older tree", func() {
		if _, err := Stat(dir + "/older/x"); !errors.Is(err, unix.ENOENT) {
			t.Errorf("an older tree: %v", err)
		}
	})
}
