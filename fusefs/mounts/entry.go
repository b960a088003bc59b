package mounts

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"

	"thintree/thin/resolve"
)

// Entry is a path of this host, and the topmost mount at it at the time of [Find].
type Entry struct {
	// Path is absolute and has no links.
	Path  string
	mount *mountinfo.Info // nil if nothing is mounted there
}

// Find resolves the links in a path and looks up what is mounted there. It asks nothing
// of a tree that is mounted there, which may be dead.
func Find(path string) (Entry, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Entry{}, err
	}
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return Entry{}, err
	}
	if e := topmost(mounts, path); e.IsTree() {
		return e, nil
	}
	if path, err = resolve.Real(path); err != nil {
		return Entry{}, err
	}
	return topmost(mounts, path), nil
}

// topmost is the last of the mounts at a path: the table is in order of mounting.
func topmost(mounts []*mountinfo.Info, path string) Entry {
	e := Entry{Path: path}
	for _, m := range mounts {
		if m.Mountpoint == path {
			e.mount = m
		}
	}
	return e
}

// FindOwn returns the tree at a path. It is an error if no tree is mounted there, or if
// this user may not unmount it.
func FindOwn(path string) (Entry, error) {
	e, err := Find(path)
	if err != nil {
		return Entry{}, err
	}
	if !e.IsTree() {
		return Entry{}, fmt.Errorf("%s: no thintree is mounted here", path)
	}
	if user := e.user(); os.Geteuid() != 0 && user != os.Geteuid() {
		return Entry{}, fmt.Errorf("%s: mounted by user %d: only they and root can unmount it", path, user)
	}
	return e, nil
}

// IsMount reports whether anything is mounted at the path.
func (e Entry) IsMount() bool { return e.mount != nil }

// IsTree reports whether a tree is mounted at the path.
func (e Entry) IsTree() bool { return e.mount != nil && isTree(e.mount) }

func isTree(m *mountinfo.Info) bool { return m.FSType == resolve.TreeType }

// Device is the device number of the mount, 0:0 if nothing is mounted.
func (e Entry) Device() (major, minor int) {
	if e.mount == nil {
		return 0, 0
	}
	return e.mount.Major, e.mount.Minor
}

// HasDeviceOf reports whether two entries have the same device number.
func (e Entry) HasDeviceOf(other Entry) bool {
	major, minor := e.Device()
	otherMajor, otherMinor := other.Device()
	return major == otherMajor && minor == otherMinor
}

// HasOption reports whether the mount has an option of mount(8), such as "noexec".
func (e Entry) HasOption(name string) bool {
	return e.mount != nil && slices.Contains(strings.Split(e.mount.Options, ","), name)
}

// user is the id of the user who mounted a tree.
func (e Entry) user() int {
	for o := range strings.SplitSeq(e.mount.VFSOptions, ",") {
		if id, ok := strings.CutPrefix(o, "user_id="); ok {
			user, _ := strconv.Atoi(id)
			return user
		}
	}
	return 0
}

// treesOf returns a filter for the trees that have a device number.
func treesOf(major, minor int) mountinfo.FilterFunc {
	return func(m *mountinfo.Info) (skip, stop bool) {
		return !isTree(m) || m.Major != major || m.Minor != minor, false
	}
}

// AwaitUnmount waits until no tree with a device number is mounted.
func AwaitUnmount(major, minor int) error {
	table, err := resolve.OpenMountTable()
	if err != nil {
		return err
	}
	defer table.Close()
	for {
		mounts, err := table.Read(treesOf(major, minor))
		if err != nil || len(mounts) == 0 {
			return err
		}
		if err := table.AwaitChange(); err != nil {
			return err
		}
	}
}
