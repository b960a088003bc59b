package extract

import (
	"fmt"
	"math"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// node is a new file or folder of the copy, which gets its attributes.
type node interface {
	chown(uid, gid int) error
	chmod(mode uint32) error
	setxattr(name string, value []byte) error
	removexattr(name string) error
	setTimes(atime, mtime volfs.Time) error
	modified() (sec int64, err error)
	close() error
}

// openNode is an open file or folder.
type openNode struct{ fd int }

// createRegular makes an empty file that only its owner may read and write.
func createRegular(dir int, name string) (node, error) {
	fd, err := openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return &openNode{fd}, nil
}

func (n *openNode) chown(uid, gid int) error { return unix.Fchown(n.fd, uid, gid) }
func (n *openNode) chmod(mode uint32) error  { return unix.Fchmod(n.fd, mode) }
func (n *openNode) close() error             { return unix.Close(n.fd) }

func (n *openNode) setxattr(name string, value []byte) error {
	return unix.Fsetxattr(n.fd, name, value, 0)
}

func (n *openNode) removexattr(name string) error { return unix.Fremovexattr(n.fd, name) }

func (n *openNode) setTimes(atime, mtime volfs.Time) error {
	ts := [2]unix.Timespec{timespec(atime), timespec(mtime)}
	// By the descriptor: the user may not be permitted to search the file's folder.
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(n.fd), 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func (n *openNode) modified() (int64, error) {
	var st unix.Stat_t
	err := unix.Fstat(n.fd, &st)
	return int64(st.Mtim.Sec), err
}

// namedNode is a file that cannot be opened: a link, device, fifo or socket. Its name is a
// temporary one, which cannot be guessed, so no other file has it.
type namedNode struct {
	dir    int
	name   string
	isLink bool
}

func createSymlink(target string, dir int, name string) (node, error) {
	if err := unix.Symlinkat(target, dir, name); err != nil {
		return nil, err
	}
	return &namedNode{dir, name, true}, nil
}

// createNode makes a device, fifo or socket.
func createNode(dir int, name string, a volfs.Attr) (node, error) {
	if a.Rdev > math.MaxUint32 {
		return nil, unreadable(fmt.Errorf("device number %#x is too large: %w", a.Rdev, syscall.EIO))
	}
	if err := unix.Mknodat(dir, name, a.Mode&syscall.S_IFMT|0o600, int(a.Rdev)); err != nil {
		return nil, err
	}
	return &namedNode{dir, name, false}, nil
}

func (n *namedNode) chown(uid, gid int) error {
	return unix.Fchownat(n.dir, n.name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
}

func (n *namedNode) chmod(mode uint32) error {
	if n.isLink {
		return nil
	}
	return unix.Fchmodat(n.dir, n.name, mode, 0)
}

func (n *namedNode) setxattr(name string, value []byte) error {
	return unix.Lsetxattr(n.path(), name, value, 0)
}

func (n *namedNode) removexattr(name string) error { return unix.Lremovexattr(n.path(), name) }

// path is for the system calls that take no folder descriptor.
func (n *namedNode) path() string { return fmt.Sprintf("/proc/self/fd/%d/%s", n.dir, n.name) }

func (n *namedNode) setTimes(atime, mtime volfs.Time) error {
	ts := []unix.Timespec{timespec(atime), timespec(mtime)}
	return unix.UtimesNanoAt(n.dir, n.name, ts, unix.AT_SYMLINK_NOFOLLOW)
}

func (n *namedNode) modified() (int64, error) {
	var st unix.Stat_t
	err := unix.Fstatat(n.dir, n.name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return int64(st.Mtim.Sec), err
}

func (n *namedNode) close() error { return nil }

func timespec(t volfs.Time) unix.Timespec {
	var ts unix.Timespec
	setInt(&ts.Sec, t.Sec)
	setInt(&ts.Nsec, int64(t.Nsec))
	return ts
}

// setInt sets a field of a Timespec, whose width depends on the machine.
func setInt[T int32 | int64](to *T, v int64) { *to = T(v) }

// openat is openat(2). It tries again after a signal, which can interrupt it on network
// filesystems.
func openat(dir int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}
