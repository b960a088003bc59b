package ext4

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"syscall"
)

// Bits of i_flags.
const (
	flagCompr      = 0x4
	flagImmutable  = 0x10
	flagAppend     = 0x20
	flagNodump     = 0x40
	flagEncrypt    = 0x800
	flagIndex      = 0x1000
	flagHugeFile   = 0x40000
	flagExtents    = 0x80000
	flagVerity     = 0x100000
	flagEAInode    = 0x200000
	flagInlineData = 0x10000000
	flagCasefold   = 0x40000000
)

const (
	iBlockOff  = 0x28
	iBlockSize = 60 // bytes of i_block
)

// inode has the fields of struct ext4_inode that are needed. It does not change once it
// is loaded. It keeps its part of the inode table in memory, so callers that keep it
// for long keep a copy.
type inode struct {
	ino        uint32
	mode       uint16
	links      uint16
	uid, gid   uint32
	size       uint64
	blocks     uint64 // in sectors
	flags      uint32
	fileACL    uint64
	generation uint32
	csumSeed   uint32
	extraIsize int    // bytes of fields beyond the first 128
	raw        []byte // as on disk
	ibody      []byte // extended attributes in the inode, without their header
	inline     *inlineData
}

func (in *inode) fileType() uint32 { return uint32(in.mode) & syscall.S_IFMT }

func (in *inode) is(flag uint32) bool { return in.flags&flag != 0 }

func (in *inode) iBlock() []byte { return in.raw[iBlockOff : iBlockOff+iBlockSize] }

func (in *inode) String() string { return fmt.Sprintf("inode %d", in.ino) }

func (in *inode) damage(format string, args ...any) error {
	return damage(in.String(), format, args...)
}

// fits reports whether the inode has the field of n bytes at off.
func (in *inode) fits(off, n int) bool { return off+n <= goodOldInodeSize+in.extraIsize }

// loadInode returns an inode: ENOENT if it is not in use. ino is in range. Decoding and
// verifying is cheap and done each time. The inode tables are cached.
func (fs *FS) loadInode(ctx context.Context, ino uint32) (*inode, error) {
	raw, err := fs.rawInode(ctx, ino)
	if err != nil {
		return nil, err
	}
	in := &inode{ino: ino, raw: raw}
	if err := fs.parseInode(in); err != nil {
		return nil, err
	}
	return in, nil
}

// copied returns a copy of in that shares no bytes with the cache.
func (in *inode) copied() *inode {
	c := *in
	c.raw = bytes.Clone(in.raw)
	if len(in.ibody) > 0 {
		c.ibody = c.raw[len(c.raw)-len(in.ibody):]
	}
	return &c
}

// parseInode decodes and checks raw.
func (fs *FS) parseInode(in *inode) error {
	sb := fs.sb
	u16 := func(off int) uint16 { return binary.LittleEndian.Uint16(in.raw[off:]) }
	u32 := func(off int) uint32 { return binary.LittleEndian.Uint32(in.raw[off:]) }
	in.mode = u16(0x0)
	in.uid = uint32(u16(0x2)) | uint32(u16(0x78))<<16
	in.gid = uint32(u16(0x18)) | uint32(u16(0x7a))<<16
	in.links = u16(0x1a)
	in.flags = u32(0x20)
	in.generation = u32(0x64)
	in.size = uint64(u32(0x4))
	in.blocks = uint64(u32(0x1c))
	in.fileACL = uint64(u32(0x68))
	if in.links == 0 {
		if in.ino == rootIno {
			return in.damage("the root folder is not in use")
		}
		return fmt.Errorf("ext4: %s: %w", in, syscall.ENOENT)
	}
	if sb.inodeSize > goodOldInodeSize {
		in.extraIsize = int(u16(0x80))
		if in.extraIsize%4 != 0 || goodOldInodeSize+in.extraIsize > sb.inodeSize {
			return in.damage("i_extra_isize %d", in.extraIsize)
		}
	}
	if err := fs.checkInodeCsum(in); err != nil {
		return err
	}
	if in.fileType() == syscall.S_IFREG || sb.incompat(incompatLargedir) {
		in.size |= uint64(u32(0x6c)) << 32
	}
	if most := fs.maxBlocks(in); in.size > most<<sb.blockBits {
		return in.damage("i_size %d, more than %d blocks", in.size, most)
	}
	if sb.roCompat(roCompatHugeFile) {
		in.blocks |= uint64(u16(0x74)) << 32
		if in.is(flagHugeFile) {
			in.blocks <<= sb.blockBits - sectorBits
		}
	}
	if sb.incompat(incompat64bit) {
		in.fileACL |= uint64(u16(0x76)) << 32
	}
	in.findIbody()
	return fs.checkInode(in)
}

// findIbody sets ibody, and extraIsize if it is 0.
func (in *inode) findIbody() {
	const sizeofInode = 160 // of struct ext4_inode
	if len(in.raw) == goodOldInodeSize {
		return
	}
	if in.extraIsize == 0 {
		in.extraIsize = min(sizeofInode, len(in.raw)) - goodOldInodeSize
		return
	}
	if p := in.raw[goodOldInodeSize+in.extraIsize:]; len(p) >= 4 && binary.LittleEndian.Uint32(p) == xattrMagic {
		in.ibody = p[4:]
	}
}

// checkInodeCsum verifies i_checksum and sets csumSeed.
func (fs *FS) checkInodeCsum(in *inode) error {
	const (
		checksumLo = 0x7c
		checksumHi = 0x82
	)
	if !fs.sb.metadataCsum() {
		return nil
	}
	in.csumSeed = crc32cUint32(crc32cUint32(fs.sb.csumSeed, in.ino), in.generation)
	if fs.sb.creatorOS != creatorLinux {
		return nil
	}
	want := uint32(binary.LittleEndian.Uint16(in.raw[checksumLo:]))
	got := crc32cSkipping(in.csumSeed, in.raw[:goodOldInodeSize], checksumLo, 2)
	if extra := in.raw[goodOldInodeSize:]; len(extra) > 0 {
		if in.fits(checksumHi, 2) {
			want |= uint32(binary.LittleEndian.Uint16(in.raw[checksumHi:])) << 16
			got = crc32cSkipping(got, extra, checksumHi-goodOldInodeSize, 2)
		} else {
			got = crc32c(got, extra)
		}
	}
	if !in.fits(checksumHi, 2) {
		got &= 0xffff
	}
	if want != got {
		return in.damage("checksum %#x instead of %#x", want, got)
	}
	return nil
}

// checkInode checks the fields that parseInode has decoded, and finds inline data.
func (fs *FS) checkInode(in *inode) error {
	sb := fs.sb
	switch in.fileType() {
	case syscall.S_IFREG, syscall.S_IFDIR, syscall.S_IFLNK,
		syscall.S_IFCHR, syscall.S_IFBLK, syscall.S_IFIFO, syscall.S_IFSOCK:
	default:
		return in.damage("i_mode %#o", in.mode)
	}
	if in.is(flagIndex) && !sb.compat(compatDirIndex) && sb.metadataCsum() {
		return in.damage("a hashed folder without the feature dir_index")
	}
	if in.fileACL != 0 && !sb.validBlocks(in.fileACL, 1) {
		return in.damage("i_file_acl %d", in.fileACL)
	}
	switch {
	case !in.is(flagInlineData):
	case in.is(flagExtents):
		return in.damage("both extents and inline data")
	default:
		return in.findInline()
	}
	if in.fileType() == syscall.S_IFLNK && !in.is(flagEncrypt) && fs.isFastLink(in) {
		if n := bytes.IndexByte(in.iBlock(), 0); in.size == 0 || uint64(n) != in.size {
			return in.damage("a link of %d bytes with a target of %d", in.size, n)
		}
	}
	return nil
}

// validBlocks reports whether n blocks from block on can be data.
func (sb *superblock) validBlocks(block, n uint64) bool {
	return block > uint64(sb.firstDataBlock) && block < sb.blocksCount && n <= sb.blocksCount-block
}
