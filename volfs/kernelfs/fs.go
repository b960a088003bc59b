package kernelfs

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// FS is a mounted filesystem.
type FS struct {
	mount      mount
	ino        volfs.Ino       // of the root folder
	rootHandle unix.FileHandle // the kernel's own
	subvolumes *subvolumes     // of btrfs; nil of others
	places     *places         // of filesystems without usable handles; nil of others
	ahead      *ahead          // nil if the filesystem can change
	info       volfs.Info
}

var (
	_ volfs.FS         = (*FS)(nil)
	_ volfs.AttrReader = (*FS)(nil)
)

// mount gives an FS the root folder: of a mount that the FS keeps, or of another process's
// mount for the length of a call.
type mount interface {
	// borrow returns the root folder, open until giveBack.
	borrow(ctx context.Context) (*os.File, error)
	giveBack(root *os.File)
	Close() error
}

// kept is a mount that lasts as long as its root folder is open.
type kept struct{ root *os.File }

func (k kept) borrow(ctx context.Context) (*os.File, error) { return k.root, ctx.Err() }
func (k kept) giveBack(*os.File)                            {}
func (k kept) Close() error                                 { return k.root.Close() }

// Open mounts the filesystem on a block device. info is what its superblock says: Type
// is blkid's name of the filesystem. The device may be closed afterwards. Errors are a
// [volfs.UnsupportedError], and the kernel's.
//
// The kernel writes to the device when it replays a journal. If there is something to
// replay and the device is read-only, Open fails with EROFS or EIO, and nothing is
// written.
func Open(device *os.File, info volfs.Info, j volfs.Journal) (*FS, error) {
	if writing[info.Type] {
		return openWriting(device, info, j)
	}
	root, err := detached(device, info.Type, j)
	if err != nil {
		return nil, err
	}
	return newFS(context.Background(), kept{root}, info)
}

// newFS returns an FS of m. It closes m if it fails.
func newFS(ctx context.Context, m mount, info volfs.Info) (*FS, error) {
	f := &FS{mount: m, info: info}
	if _, ok := m.(kept); ok {
		f.ahead = newAhead()
	}
	if err := f.readRoot(ctx); err != nil {
		f.ahead.close()
		m.Close()
		return nil, err
	}
	return f, nil
}

// readRoot reads the root folder, and checks the kernel's form of file handles.
func (f *FS) readRoot(ctx context.Context) error {
	root, err := f.mount.borrow(ctx)
	if err != nil {
		return err
	}
	defer f.mount.giveBack(root)
	var st unix.Stat_t
	if err := unix.Fstat(int(root.Fd()), &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	f.ino = volfs.Ino(st.Ino)
	if byPlace[f.info.Type] {
		f.places = newPlaces(f.ino, unnumbered[f.info.Type])
		if f.places.made {
			return f.places.makeAll(ctx, root)
		}
		return nil
	}
	f.rootHandle, _, err = unix.NameToHandleAt(int(root.Fd()), "", unix.AT_EMPTY_PATH)
	if err == nil && f.rootHandle.Size() < minHandles[f.info.Type] {
		err = unix.EOPNOTSUPP
	}
	if err == nil && f.info.Type == "btrfs" {
		_, isLive := f.mount.(*live)
		f.subvolumes, err = subvolumesOf(root, f.rootHandle, isLive)
	}
	if err == nil && f.info.Type != "vfat" { // its root folder has no entry, and so no handle
		var fd int
		if fd, err = f.openIn(root, f.ino, unix.O_PATH); err == nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		return &volfs.UnsupportedError{FS: f.info.Type, What: fmt.Sprintf("this kernel's form of file handles (%v)", err)}
	}
	return nil
}

// Root is the inode number of the root folder.
func (f *FS) Root() volfs.Ino { return f.ino }

// Info returns what Open or OpenLive was called with.
func (f *FS) Info() volfs.Info { return f.info }

// Close unmounts the filesystem. It stays mounted until its open files are closed.
func (f *FS) Close() error {
	f.ahead.close()
	return f.mount.Close()
}

// open opens an inode.
func (f *FS) open(ctx context.Context, ino volfs.Ino, flags int) (int, error) {
	root, err := f.mount.borrow(ctx)
	if err != nil {
		return -1, err
	}
	defer f.mount.giveBack(root)
	if ino == f.ino {
		return unix.Openat(int(root.Fd()), ".", flags|unix.O_CLOEXEC, 0)
	}
	if f.places != nil {
		return f.places.open(ctx, root, ino, flags)
	}
	fd, err := f.openIn(root, ino, flags)
	if err == unix.ENOENT && f.info.Type == "vfat" {
		fd, err = openFolder(ctx, root, ino, flags)
	}
	return fd, err
}

// openIn opens an inode by its handle.
func (f *FS) openIn(root *os.File, ino volfs.Ino, flags int) (int, error) {
	h, err := f.handle(root, ino)
	if err != nil {
		return -1, err
	}
	for {
		fd, err := unix.OpenByHandleAt(int(root.Fd()), h, flags|unix.O_CLOEXEC)
		switch err {
		case unix.EINTR:
			continue
		case unix.ESTALE:
			err = unix.ENOENT
		}
		if err == nil && f.info.Type == "udf" {
			if fd, err = sameInode(fd, ino); err == unix.ESTALE {
				err = &volfs.UnsupportedError{FS: "udf", What: "a volume of several partitions"}
			}
		}
		return fd, err
	}
}

// at calls run with an O_PATH descriptor of an inode.
func (f *FS) at(ctx context.Context, ino volfs.Ino, run func(fd int) error) error {
	fd, err := f.open(ctx, ino, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return run(fd)
}

// Stat returns the attributes of an inode.
func (f *FS) Stat(ctx context.Context, ino volfs.Ino) (a volfs.Attr, err error) {
	err = f.at(ctx, ino, func(fd int) error {
		a, err = statx(fd, "")
		return err
	})
	if f.subvolumes != nil || f.makesNumbers() {
		a.Ino = ino
	}
	if f.makesNumbers() && ino == f.ino {
		// The disk has no times of the root folder. The kernel shows the time of the mount.
		a.Atime, a.Mtime, a.Ctime, a.Btime = volfs.Time{}, volfs.Time{}, volfs.Time{}, volfs.Time{}
	}
	return a, err
}

func statx(fd int, name string) (volfs.Attr, error) {
	var st unix.Statx_t
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	if err := unix.Statx(fd, name, flags, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &st); err != nil {
		return volfs.Attr{}, err
	}
	a := volfs.Attr{
		Ino: volfs.Ino(st.Ino), Mode: uint32(st.Mode), Nlink: st.Nlink, UID: st.Uid, GID: st.Gid,
		Rdev: unix.Mkdev(st.Rdev_major, st.Rdev_minor), Size: int64(st.Size), Blocks: st.Blocks, BlockSize: st.Blksize,
		Atime: moment(st.Atime), Mtime: moment(st.Mtime), Ctime: moment(st.Ctime),
		HasXattrs: true, // the kernel does not say
		Flags:     st.Attributes & st.Attributes_mask,
	}
	if st.Mask&unix.STATX_BTIME != 0 {
		a.Btime = moment(st.Btime)
	}
	return a, nil
}

func moment(t unix.StatxTimestamp) volfs.Time { return volfs.Time{Sec: t.Sec, Nsec: t.Nsec} }

// makesNumbers reports whether inode numbers are made here: see made.go.
func (f *FS) makesNumbers() bool { return f.places != nil && f.places.made }

// Lookup finds a name in a folder.
func (f *FS) Lookup(ctx context.Context, dir volfs.Ino, name string) (ino volfs.Ino, err error) {
	if name == "." || name == ".." || name == "" {
		return 0, unix.ENOENT
	}
	err = f.at(ctx, dir, func(fd int) error {
		if f.subvolumes != nil {
			ino, err = f.subvolumes.named(fd, name)
			return err
		}
		if f.makesNumbers() {
			ino, err = f.places.named(ctx, fd, dir, name)
			return err
		}
		var st unix.Stat_t
		if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		ino = volfs.Ino(st.Ino)
		if f.places != nil {
			f.places.keep(dir, name, ino)
		}
		return nil
	})
	return ino, err
}

// Readlink returns the target of a symbolic link.
func (f *FS) Readlink(ctx context.Context, ino volfs.Ino) (target string, err error) {
	err = f.at(ctx, ino, func(fd int) error {
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(fd, "", buf)
		if err == unix.ENOENT {
			err = unix.EINVAL // the call's error for what is no link
		}
		target = string(buf[:max(n, 0)])
		return err
	})
	return target, err
}

// Statfs returns how full the filesystem is.
func (f *FS) Statfs(ctx context.Context) (volfs.Statfs, error) {
	root, err := f.mount.borrow(ctx)
	if err != nil {
		return volfs.Statfs{}, err
	}
	defer f.mount.giveBack(root)
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(root.Fd()), &st); err != nil {
		return volfs.Statfs{}, os.NewSyscallError("fstatfs", err)
	}
	return volfs.Statfs{
		BlockSize: uint32(st.Bsize), Blocks: st.Blocks, BlocksFree: st.Bfree, BlocksAvail: st.Bavail,
		Files: st.Files, FilesFree: st.Ffree, NameLen: uint32(st.Namelen),
	}, nil
}
