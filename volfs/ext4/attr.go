package ext4

import (
	"context"
	"encoding/binary"
	"syscall"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// attr returns what stat(2) shows of in.
func (fs *FS) attr(ctx context.Context, in *inode) (volfs.Attr, error) {
	a := volfs.Attr{
		Ino:       volfs.Ino(in.ino),
		Mode:      uint32(in.mode),
		Nlink:     uint32(in.links),
		UID:       in.uid,
		GID:       in.gid,
		Rdev:      in.rdev(),
		Size:      int64(in.size),
		Blocks:    in.blocks,
		BlockSize: uint32(fs.sb.blockSize),
		HasXattrs: in.fileACL != 0 || len(in.ibody) >= 4 && le32(in.ibody, 0) != 0,
		Flags:     in.statxFlags(),
	}
	in.times(&a)
	switch in.fileType() {
	case syscall.S_IFREG:
		if in.inline != nil { // as the kernel does: with no blocks it would look sparse
			a.Blocks += (in.size + sectorBytes - 1) / sectorBytes
		}
	case syscall.S_IFLNK:
		if in.is(flagEncrypt) {
			target, err := fs.encryptedTarget(ctx, in)
			a.Size = int64(len(target))
			return a, err
		}
	}
	return a, nil
}

// rdev is the device number of a device file, in the old form of 16 bits in the
// first word of i_block or in the new one in the second.
func (in *inode) rdev() uint64 {
	if t := in.fileType(); t != syscall.S_IFCHR && t != syscall.S_IFBLK {
		return 0
	}
	if d := binary.LittleEndian.Uint32(in.iBlock()); d != 0 {
		return unix.Mkdev(d>>8&0xff, d&0xff)
	}
	d := binary.LittleEndian.Uint32(in.iBlock()[4:])
	return unix.Mkdev(d>>8&0xfff, d&0xff|d>>12&0xfff00)
}

// statxFlags are the attributes that statx(2) shows.
func (in *inode) statxFlags() uint64 {
	var flags uint64
	for _, f := range [...]struct {
		inode uint32
		statx uint64
	}{
		{flagCompr, unix.STATX_ATTR_COMPRESSED},
		{flagImmutable, unix.STATX_ATTR_IMMUTABLE},
		{flagAppend, unix.STATX_ATTR_APPEND},
		{flagNodump, unix.STATX_ATTR_NODUMP},
		{flagEncrypt, unix.STATX_ATTR_ENCRYPTED},
		{flagVerity, unix.STATX_ATTR_VERITY},
	} {
		if in.is(f.inode) {
			flags |= f.statx
		}
	}
	return flags
}
