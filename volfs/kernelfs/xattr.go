package kernelfs

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// Xattrs lists the names of an inode's extended attributes.
func (f *FS) Xattrs(ctx context.Context, ino volfs.Ino) (names []string, err error) {
	err = f.at(ctx, ino, func(fd int) error {
		list, err := whole(func(buf []byte) (int, error) { return unix.Listxattr(place(fd), buf) })
		if err == unix.EOPNOTSUPP { // the error for files that cannot have any, such as a folder of hfsplus
			return nil
		}
		if err != nil || len(list) == 0 {
			return err
		}
		names = strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00")
		return nil
	})
	return names, err
}

// Xattr returns the value of an extended attribute.
func (f *FS) Xattr(ctx context.Context, ino volfs.Ino, name string) (value []byte, err error) {
	err = f.at(ctx, ino, func(fd int) error {
		value, err = whole(func(buf []byte) (int, error) { return unix.Getxattr(place(fd), name, buf) })
		return err
	})
	return value, err
}

// place returns a path to the file of an O_PATH descriptor, also to a symbolic link itself.
// The calls for extended attributes do not take such a descriptor.
func place(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// whole repeats a call until its buffer is large enough.
func whole(call func(buf []byte) (int, error)) ([]byte, error) {
	for {
		n, err := call(nil)
		if err != nil || n == 0 {
			return nil, err
		}
		buf := make([]byte, n)
		n, err = call(buf)
		if err == unix.ERANGE {
			continue
		}
		return buf[:max(n, 0)], err
	}
}
