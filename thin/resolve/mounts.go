package resolve

import (
	"path/filepath"
	"sync"

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

// mountTable is what this package needs of the mount table, read again only after a
// change.
type mountTable struct {
	mu    sync.Mutex
	table *MountTable       // nil until it is needed; guarded by mu
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
	if t.table == nil {
		table, err := OpenMountTable()
		if err != nil {
			return err
		}
		t.table = table
	} else if changed, err := t.table.changed(); err == nil && !changed {
		return nil
	}
	err := t.read()
	if err != nil {
		t.table.Close()
		t.table = nil
	}
	return err
}

// read reads the table. Called with mu held.
func (t *mountTable) read() error {
	all, err := t.table.Read(nil)
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
