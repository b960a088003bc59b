package kernelfs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"thintree/thin/blockdev"
	"thintree/volfs"
)

// ErrNotMounted says that a volume is not mounted, not mounted any more, or mounted where
// this process cannot reach it. The caller has to open it in another way. It unwraps to
// ESTALE.
var ErrNotMounted = fmt.Errorf("nobody has it mounted: %w", unix.ESTALE)

// OpenLive reads a filesystem through its owner's mount, in any mount namespace. It shows
// the current state. device is the number of the block device (st_rdev). info is what the
// superblock says.
//
// Each operation makes a mount of its own and removes it at its end. An open file keeps
// one. Meanwhile the owner's umount succeeds, but the filesystem and its device stay busy.
// Nothing is attached to a path or opened in the owner's mount, and reading changes no
// atime.
//
// OpenLive returns ErrNotMounted, and so does every operation after the owner has
// unmounted. If the owner mounts it again, operations work again, unless the device was
// removed meanwhile. The caller has to verify that it is the same filesystem then: a change
// of the type is detected, a change of the UUID is not. Types that are not in magics are
// both ErrNotMounted and a [volfs.UnsupportedError]. Other errors are the kernel's.
func OpenLive(ctx context.Context, device uint64, info volfs.Info) (*FS, error) {
	if _, ok := magics[info.Type]; !ok {
		unsupported := &volfs.UnsupportedError{FS: info.Type, What: "reading it through somebody else's mount"}
		return nil, fmt.Errorf("%w: %w", unsupported, ErrNotMounted)
	}
	l := &live{device: device, fstype: info.Type}
	var err error
	if l.name, l.disk, err = l.identity(); err != nil {
		return nil, err
	}
	if l.node, err = openNode("/dev/"+strings.ReplaceAll(l.name, "!", "/"), device); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotMounted, err)
	}
	return newFS(ctx, l, info)
}

// identity returns the kernel's name of the device, and a value that differs from that of
// another device which has the same number earlier or later.
func (l *live) identity() (name, disk string, err error) {
	device := blockdev.Sysfs(l.device)
	link, err := os.Readlink(device)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrNotMounted, err)
	}
	for _, files := range [][]string{{"diskseq"}, {"../diskseq"}, {"dm/name", "dm/uuid"}} { // of a disk, of a partition, before Linux 5.15
		if disk, err = read(device, files); err == nil {
			break
		}
	}
	return filepath.Base(link), disk, err
}

// read returns the content of files in a folder, joined.
func read(folder string, files []string) (string, error) {
	var all strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(folder + "/" + name) // not cleaned: the folder is a link
		if err != nil {
			return "", err
		}
		all.Write(text)
	}
	return all.String(), nil
}

// openNode opens a block device's node with O_PATH, so not the device itself.
func openNode(path string, device uint64) (*os.File, error) {
	node, err := os.OpenFile(path, unix.O_PATH, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(node.Fd()), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK || st.Rdev != device {
		node.Close()
		return nil, fmt.Errorf("%s is not the block device %d:%d", path, unix.Major(device), unix.Minor(device))
	}
	return node, nil
}

// live is a filesystem that its owner has mounted.
type live struct {
	device uint64 // st_rdev of the block device
	name   string // the kernel's name of the device: "dm-3"
	disk   string // its identity
	node   *os.File
	fstype string // by blkid's name

	joined atomic.Int32         // the attempt of join that worked last
	cloned atomic.Pointer[site] // the last place where a mount was cloned
}

func (l *live) number() string {
	return blockdev.Text(l.device)
}

func (l *live) borrow(ctx context.Context) (*os.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	root, err := l.join()
	if err != nil {
		root, err = l.clone(ctx)
	}
	return root, err
}

func (l *live) giveBack(root *os.File) { root.Close() }

func (l *live) Close() error { return l.node.Close() }

// magics are the types that can be shown live, with their f_type of statfs(2).
var magics = map[string]int64{
	"ext2":  unix.EXT4_SUPER_MAGIC,
	"ext3":  unix.EXT4_SUPER_MAGIC,
	"ext4":  unix.EXT4_SUPER_MAGIC,
	"xfs":   unix.XFS_SUPER_MAGIC,
	"btrfs": unix.BTRFS_SUPER_MAGIC,
	"f2fs":  unix.F2FS_SUPER_MAGIC,
}

// verify checks that a mount is of the filesystem.
func (l *live) verify(root *os.File) error {
	var st unix.Stat_t
	var fs unix.Statfs_t
	if err := unix.Fstat(int(root.Fd()), &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if err := unix.Fstatfs(int(root.Fd()), &fs); err != nil {
		return os.NewSyscallError("fstatfs", err)
	}
	// While it is mounted here, the device stays the same.
	_, disk, err := l.identity()
	if err != nil {
		return err
	}
	switch {
	case disk != l.disk:
		return fmt.Errorf("another block device has the number now: %w", ErrNotMounted)
	case fs.Type != magics[l.fstype]:
		return fmt.Errorf("a filesystem of type %#x is mounted: %w", fs.Type, ErrNotMounted)
	case l.fstype == "btrfs":
		return l.verifyBtrfs(root)
	case st.Dev != l.device:
		return fmt.Errorf("another device is mounted: %w", ErrNotMounted)
	}
	return nil
}

// btrfsInfo is BTRFS_IOC_FS_INFO of include/uapi/linux/btrfs.h.
const btrfsInfo = 0x8400941F

// verifyBtrfs checks the device of a btrfs, which st_dev does not have.
func (l *live) verifyBtrfs(root *os.File) error {
	// struct btrfs_ioctl_fs_info_args
	var args struct {
		maxID, devices uint64
		fsid           [16]byte
		rest           [992]byte
	}
	if err := ioctl(root, btrfsInfo, &args); err != nil {
		return os.NewSyscallError("btrfs info", err)
	}
	id := fmt.Sprintf("%x-%x-%x-%x-%x", args.fsid[:4], args.fsid[4:6], args.fsid[6:8], args.fsid[8:10], args.fsid[10:])
	if _, err := os.Stat(filepath.Join("/sys/fs/btrfs", id, "devices", l.name)); err != nil {
		return fmt.Errorf("another device is mounted (%v): %w", err, ErrNotMounted)
	}
	return nil
}
