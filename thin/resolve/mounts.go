package resolve

import (
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// TreeType is what /proc/self/mountinfo calls the type of a mounted tree.
const TreeType = "fuse.thintree"

// kind is what a mount is, as far as it matters here.
type kind int

const (
	other kind = iota
	tree
	proc
)

// mountTable is what the mount table tells, read again only after a change.
type mountTable struct {
	mu    sync.Mutex
	file  *os.File          // guarded by mu; the kernel reports a change of the table by it
	kinds map[uint64]kind   // by device; guarded by mu
	at    map[string]uint64 // the device by where it is mounted; guarded by mu
}

var mounts mountTable

// kindOf is what is mounted of a device.
func (t *mountTable) kindOf(device uint64) (kind, error) {
	if unix.Major(device) != 0 {
		return other, nil // a disk's
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.current(); err != nil {
		return other, err
	}
	return t.kinds[device], nil
}

// InOtherTree reports whether a path, as the kernel shows it, lies beneath where a
// tree is mounted that is not of a device number. Nothing is asked of what lies there.
func InOtherTree(path string, device uint64) bool {
	mounts.mu.Lock()
	defer mounts.mu.Unlock()
	if mounts.current() != nil {
		return false // without a mount table nobody can tell
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

// current makes sure that what is known of the table holds. Called with mu held.
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

// changed reports whether the table has changed since it was last asked. Called
// with mu held.
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
