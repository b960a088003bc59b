package resolve

import (
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// TreeType is the filesystem type of a tree in /proc/self/mountinfo.
const TreeType = "fuse.thintree"

// kind is the kind of a mount, as far as it matters here.
type kind int

const (
	other kind = iota
	tree
	proc
)

// mountTable caches the mount table; it reads it again only after a change.
type mountTable struct {
	mu    sync.Mutex
	file  *os.File          // guarded by mu; polling it reports a change
	kinds map[uint64]kind   // by device; guarded by mu
	at    map[string]uint64 // the device by mount point; guarded by mu
}

var mounts mountTable

// kindOf returns the kind of the mounts of a device.
func (t *mountTable) kindOf(device uint64) (kind, error) {
	if unix.Major(device) != 0 {
		return other, nil // a filesystem on a disk
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.current(); err != nil {
		return other, err
	}
	return t.kinds[device], nil
}

// InOtherTree reports whether a path lies in a tree whose device number differs from
// device. path is absolute and without links, as the kernel shows it. No filesystem is
// asked about the path.
func InOtherTree(path string, device uint64) bool {
	mounts.mu.Lock()
	defer mounts.mu.Unlock()
	if mounts.current() != nil {
		return false // without the mount table the answer is unknown
	}
	for {
		if d, ok := mounts.at[path]; ok {
			return mounts.kinds[d] == tree && d != device
		}
		up := filepath.Dir(path)
		if up == path {
			return false
		}
		path = up
	}
}

// current brings kinds and at up to date. Called with mu held.
func (t *mountTable) current() error {
	if t.file == nil {
		if err := t.open(); err != nil {
			return err
		}
	} else if !t.changed() {
		return nil
	}
	err := t.read()
	if err != nil {
		t.file.Close()
		t.file = nil
	}
	return err
}

// open opens the table. Called with mu held.
func (t *mountTable) open() error {
	const path = "/proc/self/mountinfo"
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	t.file = os.NewFile(uintptr(fd), path)
	return nil
}

// changed reports whether the table has changed since the last call. Called with mu held.
func (t *mountTable) changed() bool {
	poll := []unix.PollFd{{Fd: int32(t.file.Fd()), Events: unix.POLLPRI}}
	n, err := unix.Poll(poll, 0)
	return n != 0 || err != nil
}

// read reads the table. Called with mu held.
func (t *mountTable) read() error {
	if _, err := t.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	all, err := mountinfo.GetMountsFromReader(t.file, nil)
	if err != nil {
		return err
	}
	t.kinds, t.at = map[uint64]kind{}, make(map[string]uint64, len(all))
	for _, m := range all {
		device := unix.Mkdev(uint32(m.Major), uint32(m.Minor))
		t.at[m.Mountpoint] = device
		switch m.FSType {
		case TreeType:
			t.kinds[device] = tree
		case "proc":
			t.kinds[device] = proc
		}
	}
	return nil
}
