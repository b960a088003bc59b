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
	root      *os.File
	ino       volfs.Ino // of root
	dev       uint64    // st_dev of root
	subvolume uint64    // btrfs: the id of root's
	info      volfs.Info
}

var _ volfs.FS = (*FS)(nil)

// Open mounts the filesystem on a block device. info is what a look at its
// superblock has told: Type says which it is, by blkid's name. The device may be
// closed afterwards. Errors are a [volfs.UnsupportedError], and the kernel's.
func Open(device *os.File, info volfs.Info) (_ *FS, err error) {
	root, err := detached(device, info.Type)
	if err != nil {
		return nil, err
	}
	f := &FS{root: root, info: info}
	defer func() {
		if err != nil {
			root.Close()
		}
	}()
	if info.Type == "btrfs" {
		if f.subvolume, err = subvolumeOf(root); err != nil {
			return nil, fmt.Errorf("%s: %w", root.Name(), err)
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(root.Fd()), &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	f.ino, f.dev = volfs.Ino(st.Ino), st.Dev
	if _, err := f.Stat(context.Background(), f.ino); err != nil {
		return nil, &volfs.UnsupportedError{FS: info.Type, What: fmt.Sprintf("this kernel's form of file handles (%v)", err)}
	}
	return f, nil
}

// Root is the inode number of the root folder.
func (f *FS) Root() volfs.Ino { return f.ino }

// Info tells what filesystem this is.
func (f *FS) Info() volfs.Info { return f.info }

// Close unmounts it, once its files are closed.
func (f *FS) Close() error { return f.root.Close() }

// open opens an inode.
func (f *FS) open(ctx context.Context, ino volfs.Ino, flags int) (int, error) {
	if err := ctx.Err(); err != nil {
		return -1, err
	}
	h, err := f.handle(ino)
	if err != nil {
		return -1, err
	}
	for {
		fd, err := unix.OpenByHandleAt(int(f.root.Fd()), h, flags|unix.O_CLOEXEC)
		switch err {
		case unix.EINTR:
			continue
		case unix.ESTALE:
			err = unix.ENOENT
		}
		return fd, err
	}
}

// at runs what needs an inode only as a place.
func (f *FS) at(ctx context.Context, ino volfs.Ino, run func(fd int) error) error {
	fd, err := f.open(ctx, ino, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return run(fd)
}

// Stat tells the attributes of an inode.
func (f *FS) Stat(ctx context.Context, ino volfs.Ino) (a volfs.Attr, err error) {
	err = f.at(ctx, ino, func(fd int) error {
		a, err = statx(fd, "")
		return err
	})
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
		HasXattrs: true, // the kernel tells only who asks for them
		Flags:     st.Attributes & st.Attributes_mask,
	}
	if st.Mask&unix.STATX_BTIME != 0 {
		a.Btime = moment(st.Btime)
	}
	return a, nil
}

func moment(t unix.StatxTimestamp) volfs.Time { return volfs.Time{Sec: t.Sec, Nsec: t.Nsec} }

// Lookup finds a name in a folder.
func (f *FS) Lookup(ctx context.Context, dir volfs.Ino, name string) (ino volfs.Ino, err error) {
	if name == "." || name == ".." || name == "" {
		return 0, unix.ENOENT
	}
	err = f.at(ctx, dir, func(fd int) error {
		var st unix.Stat_t
		if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		if st.Dev != f.dev {
			return fmt.Errorf("%q is another subvolume: %w", name, unix.EOPNOTSUPP)
		}
		ino = volfs.Ino(st.Ino)
		return nil
	})
	return ino, err
}

// Readlink gives the target of a symbolic link.
func (f *FS) Readlink(ctx context.Context, ino volfs.Ino) (target string, err error) {
	err = f.at(ctx, ino, func(fd int) error {
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(fd, "", buf)
		if err == unix.ENOENT {
			err = unix.EINVAL // what is no link, by this system call
		}
		target = string(buf[:max(n, 0)])
		return err
	})
	return target, err
}

// Statfs tells how full the filesystem is.
func (f *FS) Statfs(ctx context.Context) (volfs.Statfs, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.root.Fd()), &st); err != nil {
		return volfs.Statfs{}, os.NewSyscallError("fstatfs", err)
	}
	return volfs.Statfs{
		BlockSize: uint32(st.Bsize), Blocks: st.Blocks, BlocksFree: st.Bfree, BlocksAvail: st.Bavail,
		Files: st.Files, FilesFree: st.Ffree, NameLen: uint32(st.Namelen),
	}, ctx.Err()
}
