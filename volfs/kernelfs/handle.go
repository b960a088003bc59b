package kernelfs

import (
	"encoding/binary"
	"math"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// The types of handles, of include/linux/exportfs.h.
const (
	fileIDIno32Gen = 1
	fileIDBtrfs    = 0x4d
	fileIDUDF      = 0x51
	fileIDNILFS    = 0x61
	fileIDFAT      = 0x71
	fileIDIno64Gen = 0x81
)

// minHandles are the bytes of the root folder's handle that are needed to make others.
var minHandles = map[string]int{"btrfs": 16, "udf": 8, "nilfs2": 8}

var native = binary.NativeEndian

// handle makes the handle of an inode: ENOENT if the filesystem's handles cannot have its
// number. A generation of 0 stands for any.
func (f *FS) handle(root *os.File, ino volfs.Ino) (unix.FileHandle, error) {
	switch f.info.Type {
	case "xfs":
		gen, err := xfsGeneration(root, ino)
		return unix.NewFileHandle(fileIDIno64Gen, native.AppendUint32(native.AppendUint64(nil, uint64(ino)), gen)), err
	case "btrfs":
		return f.subvolumes.handle(root, ino)
	case "erofs":
		if f.rootHandle.Type() == fileIDIno64Gen { // newer kernels
			high := native.AppendUint32(nil, uint32(ino>>32))
			return unix.NewFileHandle(fileIDIno64Gen, native.AppendUint32(native.AppendUint32(high, uint32(ino)), 0)), nil
		}
	case "udf":
		return udfHandle(f.rootHandle, f.ino, ino)
	case "nilfs2": // the number of the checkpoint comes first
		b := native.AppendUint64(f.rootHandle.Bytes()[:8:8], uint64(ino))
		return unix.NewFileHandle(fileIDNILFS, native.AppendUint32(b, 0)), nil
	case "vfat": // the position of the file's entry on the disk
		if ino>>48 != 0 {
			return unix.FileHandle{}, unix.ENOENT
		}
		low := native.AppendUint32(native.AppendUint32(nil, 0), uint32(ino))
		return unix.NewFileHandle(fileIDFAT, native.AppendUint32(low, uint32(ino>>32))), nil
	}
	if uint64(ino) > math.MaxUint32 {
		return unix.FileHandle{}, unix.ENOENT
	}
	return unix.NewFileHandle(fileIDIno32Gen, native.AppendUint32(native.AppendUint32(nil, uint32(ino)), 0)), nil
}

// udfHandle makes a handle from an inode number, which is a block of the volume. A handle
// has the block's number in its partition. That is taken to be the root folder's: only
// write-once and video discs have several.
func udfHandle(root unix.FileHandle, rootIno, ino volfs.Ino) (unix.FileHandle, error) {
	block := int64(native.Uint32(root.Bytes())) + int64(ino) - int64(rootIno)
	if block <= 0 || block > math.MaxUint32 {
		return unix.FileHandle{}, unix.ENOENT
	}
	b := native.AppendUint32(nil, uint32(block))
	return unix.NewFileHandle(fileIDUDF, native.AppendUint32(append(b, root.Bytes()[4:8]...), 0)), nil
}

// sameInode returns fd if it is of an inode. Otherwise it closes fd: ESTALE.
func sameInode(fd int, ino volfs.Ino) (int, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	if err == nil && volfs.Ino(st.Ino) != ino {
		err = unix.ESTALE
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// ioctl makes a request to the filesystem of an open folder.
func ioctl[T any](folder *os.File, request uintptr, args *T) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, folder.Fd(), request, uintptr(unsafe.Pointer(args))); errno != 0 {
		return errno
	}
	return nil
}
