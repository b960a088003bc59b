package block

import (
	"bytes"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"thintree/thin/blockdev"
	"thintree/thin/resolve"
)

// Look is what a file or block device looks like from outside.
type Look struct {
	Identity
	// SizeBytes is the length of a regular file, 0 of a block device that was not opened.
	SizeBytes int64
	// Changed is when a regular file was last changed (its ctime, which nobody can set
	// back), in nanoseconds since 1970; 0 of a block device, which does not tell.
	Changed int64
	// DM is what device-mapper calls a block device of its own: its UUID, or its name if
	// it has none. It stays the same when the device is deactivated and activated again,
	// with another number.
	DM string
}

// LookAt looks at what lies at path, and opens nothing. It has the errors of [Open] for
// what is neither a regular file nor a block device.
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

// dmOf is what device-mapper calls the device of a folder in sysfs, "" if it has none.
func dmOf(dir string) string {
	for _, file := range []string{"dm/uuid", "dm/name"} {
		if text, err := os.ReadFile(filepath.Join(dir, file)); err == nil && len(bytes.TrimSpace(text)) > 0 {
			return file + " " + string(bytes.TrimSpace(text))
		}
	}
	return ""
}

// Find finds what a [Look] at path was of. It is at path, unless it is a device-mapper
// device that has another number now and whose node at path, as without udev, is still
// the old one or is gone.
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
