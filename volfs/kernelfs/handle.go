package kernelfs

import (
	"encoding/binary"
	"math"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// The types of handles: FILEID_INO32_GEN of include/linux/exportfs.h, and those
// of fs/xfs/xfs_export.h and fs/btrfs/export.h.
const (
	fileIDIno32Gen = 1
	fileIDXFS64    = 0x81
	fileIDBtrfs    = 0x4d
)

// handle makes the handle of an inode.
func (f *FS) handle(root *os.File, ino volfs.Ino) (unix.FileHandle, error) {
	le := binary.NativeEndian
	switch f.info.Type {
	case "xfs":
		gen, err := xfsGeneration(root, ino)
		if err != nil {
			return unix.FileHandle{}, err
		}
		b := le.AppendUint32(le.AppendUint64(nil, uint64(ino)), gen)
		return unix.NewFileHandle(fileIDXFS64, b), nil
	case "btrfs":
		gen, err := btrfsGeneration(root, ino)
		if err != nil {
			return unix.FileHandle{}, err
		}
		b := le.AppendUint64(le.AppendUint64(nil, uint64(ino)), f.subvolume)
		return unix.NewFileHandle(fileIDBtrfs, le.AppendUint32(b, gen)), nil
	}
	if uint64(ino) > 1<<32-1 {
		return unix.FileHandle{}, unix.ENOENT
	}
	// A generation of 0 is any.
	b := le.AppendUint32(le.AppendUint32(nil, uint32(ino)), 0)
	return unix.NewFileHandle(fileIDIno32Gen, b), nil
}

// subvolumeOf is the id of the btrfs subvolume that a folder is in.
func subvolumeOf(dir *os.File) (uint64, error) {
	h, _, err := unix.NameToHandleAt(int(dir.Fd()), "", unix.AT_EMPTY_PATH)
	if err != nil {
		return 0, os.NewSyscallError("name_to_handle_at", err)
	}
	if h.Type() != fileIDBtrfs || h.Size() < 16 {
		return 0, unix.EOPNOTSUPP
	}
	return binary.NativeEndian.Uint64(h.Bytes()[8:]), nil
}

// xfsBulkstat is XFS_IOC_BULKSTAT of fs/xfs/libxfs/xfs_fs.h.
const xfsBulkstat = 0x8040587F

// xfsGeneration is an xfs inode's generation, without which it cannot be opened.
func xfsGeneration(root *os.File, ino volfs.Ino) (uint32, error) {
	// struct xfs_bulkstat_req with room for one struct xfs_bulkstat
	var req struct {
		ino            uint64
		flags          uint32
		icount, ocount uint32
		agno           uint32
		reserved       [5]uint64
		stat           struct {
			ino, size, blocks, xflags  uint64
			atime, mtime, ctime, btime int64
			gen                        uint32
			rest                       [124]byte
		}
	}
	req.ino, req.icount = uint64(ino), 1
	if err := ioctl(root, xfsBulkstat, &req); err != nil {
		return 0, os.NewSyscallError("xfs bulkstat", err)
	}
	if req.ocount == 0 || req.stat.ino != uint64(ino) {
		return 0, unix.ENOENT
	}
	return req.stat.gen, nil
}

const (
	btrfsTreeSearch    = 0xD0009411 // BTRFS_IOC_TREE_SEARCH of include/uapi/linux/btrfs.h
	btrfsInodeItem     = 1          // BTRFS_INODE_ITEM_KEY of btrfs_tree.h
	btrfsSearchHeader  = 32         // struct btrfs_ioctl_search_header
	btrfsSearchResults = 4096 - 104
)

// btrfsGeneration is the generation of an inode of root's subvolume.
func btrfsGeneration(root *os.File, ino volfs.Ino) (uint32, error) {
	// struct btrfs_ioctl_search_args
	var args struct {
		treeID                   uint64 // 0: that of root
		minObjectID, maxObjectID uint64
		minOffset, maxOffset     uint64
		minTransID, maxTransID   uint64
		minType, maxType         uint32
		items                    uint32
		unused                   [9]uint32
		results                  [btrfsSearchResults]byte
	}
	args.minObjectID, args.maxObjectID = uint64(ino), uint64(ino)
	args.maxTransID = math.MaxUint64
	args.minType, args.maxType = btrfsInodeItem, btrfsInodeItem
	args.items = 1
	if err := ioctl(root, btrfsTreeSearch, &args); err != nil {
		return 0, os.NewSyscallError("btrfs tree search", err)
	}
	if args.items == 0 {
		return 0, unix.ENOENT
	}
	// The item begins with it, on the disk's order of bytes.
	return uint32(binary.LittleEndian.Uint64(args.results[btrfsSearchHeader:])), nil
}

// ioctl asks the filesystem of an open folder.
func ioctl[T any](folder *os.File, request uintptr, args *T) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, folder.Fd(), request, uintptr(unsafe.Pointer(args))); errno != 0 {
		return errno
	}
	return nil
}
