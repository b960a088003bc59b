package kernelfs

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// A number that a handle has no room for must not become another file's.
func TestNoHandleHasOnlyAPartOfANumber(t *testing.T) {
	t.Parallel()
	root := unix.NewFileHandle(fileIDIno32Gen, make([]byte, 16))
	low := func(ino volfs.Ino) volfs.Ino { return ino & 0xffffffff }
	for fstype := range options {
		if fstype == "xfs" || fstype == "btrfs" || byPlace[fstype] {
			continue // handles need the filesystem, or there are none
		}
		f := &FS{info: volfs.Info{Type: fstype}, rootHandle: root}
		for _, ino := range []volfs.Ino{1<<32 | 7, 1<<47 | 7, 1<<48 | 7, 1<<63 | 7} {
			whole, err := f.handle(nil, ino)
			if err == unix.ENOENT {
				continue
			}
			part, partErr := f.handle(nil, low(ino))
			if err != nil || partErr != nil {
				t.Errorf("%s: inode %#x: %v, %v", fstype, ino, err, partErr)
			} else if bytes.Equal(whole.Bytes(), part.Bytes()) {
				t.Errorf("%s: inodes %#x and %#x have the same handle", fstype, ino, low(ino))
			}
		}
	}
}
