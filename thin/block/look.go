package block

import (
	"bytes"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"thintree/thin/blockdev"
	"thintree/thin/resolve"
)

// Look is what a file or block device looks like without opening it.
type Look struct {
	Identity
	// SizeBytes is the length of a regular file. It is 0 for a block device, unless an
	// [OnDemand] has opened it.
	SizeBytes int64
	// Changed is when a regular file last changed, in nanoseconds since 1970: its ctime,
	// which no program can set back. It is 0 for a block device.
	Changed int64
	// DM identifies a device-mapper device: by its UUID, or by its name if it has none. It
	// stays the same if the device is deactivated and activated again with another number.
	// It is "" for anything else.
	DM string
}

// LookAt looks at the file or block device at path, and opens nothing. If path is anything
// else, the error is that of [Open].
func LookAt(path string) (Look, error) {
	st, err := resolve.Stat(path)
	if err != nil {
		return Look{}, err
	}
	if err := checkKind(path, st.Mode); err != nil {
		return Look{}, err
	}
	l := Look{Identity: identify(st)}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		l.SizeBytes, l.Changed = st.Size, st.Ctim.Nano()
	} else {
		l.DM = dmOf(blockdev.Sysfs(l.Rdev))
	}
	return l, nil
}

// dmOf is [Look].DM of the device with a folder in sysfs.
func dmOf(dir string) string {
	for _, file := range []string{"dm/uuid", "dm/name"} {
		if text, err := os.ReadFile(filepath.Join(dir, file)); err == nil && len(bytes.TrimSpace(text)) > 0 {
			return file + " " + string(bytes.TrimSpace(text))
		}
	}
	return ""
}

// Find finds the file or device that was at path before. It is at path, unless it is a
// device-mapper device that was activated again with another number. Without udev the node at
// path may then be the old one, or missing.
func Find(path string, before Look) (now string, look Look, err error) {
	look, err = LookAt(path)
	if before.DM == "" || err == nil && look.DM == before.DM {
		return path, look, err
	}
	dirs, _ := filepath.Glob("/sys/block/dm-*")
	for _, dir := range dirs {
		if dmOf(dir) != before.DM {
			continue
		}
		node := filepath.Join("/dev", filepath.Base(dir))
		if l, err := LookAt(node); err == nil && l.DM == before.DM {
			return node, l, nil
		}
	}
	return path, look, err
}
