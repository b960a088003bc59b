package kernelfs

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"thintree/thin/blockdev"
	"thintree/volfs"
)

// The offset and the fields of btrfs_super_block (include/uapi/linux/btrfs_tree.h).
const (
	superInfoOffset = 64 << 10
	superInfoSize   = 4 << 10

	superFsid          = 0x20
	superMagic         = 0x40
	superIncompatFlags = 0xbc
	superCsumType      = 0xc4
	superMetadataUUID  = 0x23b

	csumSize                    = 32
	featureIncompatMetadataUUID = 1 << 10
)

const btrfsMagic = "_BHRfS_M"

// NeedsIdentity reports whether a filesystem needs a new identity by [SetIdentity] before
// the kernel mounts it. Before Linux 6.7 the kernel takes two btrfs volumes with the same
// fsid, such as a snapshot and its origin, for one, and refuses to mount the second. That
// could be the owner's.
func NeedsIdentity(fstype string) bool { return fstype == "btrfs" && oneOfEachFsid() }

var oneOfEachFsid = sync.OnceValue(func() bool {
	if conf, err := unix.Fsopen("btrfs", unix.FSOPEN_CLOEXEC); err == nil { // loads the module
		unix.Close(conf)
	}
	_, err := os.Stat("/sys/fs/btrfs/features/temp_fsid")
	return errors.Is(err, os.ErrNotExist)
})

// SetIdentity gives the btrfs on a device its own fsid, and stores the one that its blocks
// have as the metadata_uuid, as btrfstune -m does. It writes to the device, so that must be
// one whose changes are thrown away. Checksums other than crc32c and sha256 are a
// [volfs.UnsupportedError].
func SetIdentity(device *os.File) error {
	number, err := numberOf(device)
	if err != nil {
		return err
	}
	disk, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", device.Fd()), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer disk.Close()
	super := make([]byte, superInfoSize)
	if _, err := disk.ReadAt(super, superInfoOffset); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: superblock: %w", device.Name(), err)
	}
	if err := identify(super, number); err != nil {
		return fmt.Errorf("%s: %w", device.Name(), err)
	}
	if _, err := disk.WriteAt(super, superInfoOffset); err != nil {
		return fmt.Errorf("%s: superblock: %w", device.Name(), err)
	}
	return disk.Sync()
}

// identify gives a superblock an fsid that no other device of this host has. The kernel
// remembers each fsid with its device, so it is made from the device number.
func identify(super []byte, number uint64) error {
	if string(super[superMagic:superMagic+len(btrfsMagic)]) != btrfsMagic {
		return &volfs.UnsupportedError{FS: "btrfs", What: "a volume without a superblock"}
	}
	fsid := super[superFsid : superFsid+16]
	flags := binary.LittleEndian.Uint64(super[superIncompatFlags:])
	if flags&featureIncompatMetadataUUID == 0 {
		copy(super[superMetadataUUID:], fsid)
		binary.LittleEndian.PutUint64(super[superIncompatFlags:], flags|featureIncompatMetadataUUID)
	}
	own := sha256.Sum256(binary.BigEndian.AppendUint64(append([]byte("thintree"), fsid...), number))
	copy(fsid, own[:16])
	var sum []byte
	switch typ := binary.LittleEndian.Uint16(super[superCsumType:]); typ {
	case 0:
		sum = binary.LittleEndian.AppendUint32(nil, crc32.Checksum(super[csumSize:], crc32.MakeTable(crc32.Castagnoli)))
	case 2:
		all := sha256.Sum256(super[csumSize:])
		sum = all[:]
	default:
		return &volfs.UnsupportedError{FS: "btrfs", What: fmt.Sprintf("checksums of type %d in a kernel before 6.7", typ)}
	}
	clear(super[:csumSize])
	copy(super, sum)
	return nil
}

// nodeOf returns the path of a block device in /dev, by the kernel's name. Before Linux 6.7
// btrfs identifies devices by path. With the path of a descriptor it could take the device
// for another one that was opened with the same descriptor before.
func nodeOf(device *os.File) (string, error) {
	number, err := numberOf(device)
	if err != nil {
		return "", err
	}
	to, err := os.Readlink(blockdev.Sysfs(number))
	if err != nil {
		return "", err
	}
	path := "/dev/" + filepath.Base(to)
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK || st.Rdev != number {
		return "", fmt.Errorf("%s is not the device %d:%d: %w", path, unix.Major(number), unix.Minor(number), unix.ENXIO)
	}
	return path, nil
}

func numberOf(device *os.File) (uint64, error) {
	st, err := device.Stat()
	if err != nil {
		return 0, err
	}
	return st.Sys().(*syscall.Stat_t).Rdev, nil
}
