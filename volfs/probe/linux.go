package probe

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// probeExt finds ext2, ext3 and ext4, probeJBD their external journal.
func probeExt(p *prober) *Signature {
	if s := p.extSuperblock(); s != nil && s.Type != "jbd" {
		return s
	}
	return nil
}

func probeJBD(p *prober) *Signature {
	if s := p.extSuperblock(); s != nil && s.Type == "jbd" {
		return s
	}
	return nil
}

// extSuperblock reads the superblock at 1024 (fs/ext4/ext4.h, struct
// ext4_super_block).
func (p *prober) extSuperblock() *Signature {
	const (
		incompatFiletype   = 0x2
		incompatRecover    = 0x4
		incompatJournalDev = 0x8
		incompatMetaBG     = 0x10
		incompat64Bit      = 0x80

		compatHasJournal = 0x4
		roCompatExt3     = 0x7 // sparse_super, large_file, btree_dir
		roCompatCsum     = 0x400
		flagTestFS       = 0x4
	)
	sb := p.at(1024, 1024)
	if sb == nil || string(sb[0x38:0x3a]) != "\x53\xef" {
		return nil
	}
	compat, incompat, roCompat := le.Uint32(sb[0x5c:]), le.Uint32(sb[0x60:]), le.Uint32(sb[0x64:])
	logBlockSize := le.Uint32(sb[0x18:])
	if roCompat&roCompatCsum != 0 && ^crc32c(sb[:0x3fc]) != le.Uint32(sb[0x3fc:]) {
		return nil
	}
	if logBlockSize > 21 {
		return nil
	}
	s := &Signature{
		Version: fmt.Sprintf("%d.%d", le.Uint32(sb[0x4c:]), le.Uint16(sb[0x3e:])),
		Label:   label(sb[0x78:0x88]),
		UUID:    dashed(sb[0x68:0x78]),
	}
	ext3 := uint32(incompatFiletype | incompatRecover | incompatMetaBG)
	switch {
	case incompat&incompatJournalDev != 0:
		s.Type = "jbd"
	case le.Uint32(sb[0x160:])&flagTestFS != 0:
		s.Type = "ext4dev"
	case roCompat&^roCompatExt3 != 0 || incompat&^ext3 != 0:
		s.Type = "ext4"
	case compat&compatHasJournal != 0:
		s.Type = "ext3"
	case incompat&incompatRecover == 0:
		s.Type = "ext2"
	default:
		return nil
	}
	blocks := uint64(le.Uint32(sb[4:]))
	if incompat&incompat64Bit != 0 {
		blocks |= uint64(le.Uint32(sb[0x150:])) << 32
	}
	s.SizeBytes = product(blocks, 1024<<logBlockSize)
	return s
}

// probeXFS finds an XFS superblock at 0 (fs/xfs/libxfs/xfs_format.h, struct
// xfs_dsb).
func probeXFS(p *prober) *Signature {
	const (
		moreBits = 0x8000 // in versionnum
		crcBit   = 0x100  // in features2
		crcOff   = 224
	)
	sb := p.at(0, 512)
	if sb == nil || string(sb[:4]) != "XFSB" {
		return nil
	}
	blockSize, blocks := uint64(be.Uint32(sb[4:])), be.Uint64(sb[8:])
	agBlocks, agCount := uint64(be.Uint32(sb[84:])), uint64(be.Uint32(sb[88:]))
	rextBytes := uint64(be.Uint32(sb[80:])) * blockSize
	sectSize, inodeSize := uint64(be.Uint16(sb[102:])), uint64(be.Uint16(sb[104:]))
	blockLog, sectLog, inodeLog, inopbLog := sb[120], sb[121], sb[122], sb[123]
	if agCount == 0 ||
		sectLog < 9 || sectLog > 15 || sectSize != 1<<sectLog ||
		blockLog < 9 || blockLog > 16 || blockSize != 1<<blockLog ||
		inodeLog < 8 || inodeLog > 11 || inodeSize != 1<<inodeLog ||
		blockLog-inodeLog != inopbLog ||
		rextBytes < 4<<10 || rextBytes > 1<<30 ||
		sb[127] > 100 ||
		blocks == 0 || blocks > agCount*agBlocks || blocks < (agCount-1)*agBlocks+64 {
		return nil
	}
	version := be.Uint16(sb[100:])
	if version&0xf == 5 {
		sector := p.at(0, int(sectSize))
		if sector == nil || version&moreBits == 0 || be.Uint32(sb[200:])&crcBit == 0 ||
			crc32c(without(sector, crcOff, 4)...) != le.Uint32(sb[crcOff:]) {
			return nil
		}
	}
	return &Signature{
		Type: "xfs", Label: label(sb[108:120]), UUID: dashed(sb[32:48]), SizeBytes: product(blocks, blockSize),
	}
}

// probeBtrfs finds the first btrfs superblock (fs/btrfs, struct
// btrfs_super_block), with a checksum of CRC-32C or SHA-256. The size is that of this
// device of the filesystem.
func probeBtrfs(p *prober) *Signature {
	const at = 64 << 10
	sb := p.at(at, 4096)
	if sb == nil || string(sb[64:72]) != "_BHRfS_M" || le.Uint64(sb[48:]) != at || le.Uint32(sb[144:]) == 0 {
		return nil
	}
	switch le.Uint16(sb[196:]) {
	case 0:
		if crc32c(sb[32:]) != le.Uint32(sb) {
			return nil
		}
	case 2:
		if sha256.Sum256(sb[32:]) != [32]byte(sb[:32]) {
			return nil
		}
	}
	return &Signature{
		Type: "btrfs", Label: label(sb[299:555]), UUID: dashed(sb[32:48]), SizeBytes: product(le.Uint64(sb[209:]), 1),
	}
}

// probeF2FS finds the first F2FS superblock (include/linux/f2fs_fs.h, struct
// f2fs_super_block).
func probeF2FS(p *prober) *Signature {
	const at = 1024
	sb := p.at(at, 3072)
	if sb == nil || string(sb[:4]) != "\x10\x20\xf5\xf2" {
		return nil
	}
	major, minor := le.Uint16(sb[4:]), le.Uint16(sb[6:])
	s := &Signature{Type: "f2fs"}
	if major == 1 && minor == 0 {
		return s
	}
	if off := le.Uint32(sb[0x20:]); off != 0 {
		if off%4 != 0 || off > uint32(len(sb)-4) || crc32Raw(0xf2f52010, sb[:off]) != le.Uint32(sb[off:]) {
			return nil
		}
	}
	s.Version = fmt.Sprintf("%d.%d", major, minor)
	s.Label = label16(sb[0x7c:0x47c], le)
	s.UUID = dashed(sb[0x6c:0x7c])
	if bits := le.Uint32(sb[0x10:]); bits <= 16 {
		s.SizeBytes = product(le.Uint64(sb[0x24:]), 1<<bits)
	}
	return s
}

// probeNILFS2 finds the newer of NILFS2's two superblocks (the kernel's
// include/uapi/linux/nilfs2_ondisk.h, struct nilfs_super_block). The second counts only if
// it was made for a volume of this size.
func probeNILFS2(p *prober) *Signature {
	valid := func(sb []byte) bool {
		if sb == nil || le.Uint16(sb[6:]) != 0x3434 {
			return false
		}
		n := int(le.Uint16(sb[8:]))
		return n >= 20 && n <= len(sb) && crc32Raw(le.Uint32(sb[12:]), without(sb[:n], 16, 4)...) == le.Uint32(sb[16:])
	}
	size := p.v.Size()
	sb, second := p.at(1024, 1024), p.at((size/sectorBytes-8)*sectorBytes, 1024)
	if valid(second) && le.Uint64(second[32:]) == uint64(size) &&
		(!valid(sb) || le.Uint64(sb[56:]) < le.Uint64(second[56:])) {
		sb = second
	}
	if !valid(sb) {
		return nil
	}
	return &Signature{
		Type: "nilfs2", Version: fmt.Sprint(le.Uint32(sb)), Label: label(sb[168:248]), UUID: dashed(sb[152:168]),
		SizeBytes: product(le.Uint64(sb[32:]), 1),
	}
}

// probeReiserFS finds ReiserFS 3.5 and 3.6 (struct reiserfs_super_block) and
// Reiser4.
func probeReiserFS(p *prober) *Signature {
	for _, m := range []struct {
		kib     int64
		off     int64
		magic   string
		version string
	}{
		{8, 52, "ReIsErFs", "3.5"}, {64, 52, "ReIsEr2Fs", "3.6"}, {64, 52, "ReIsEr3Fs", "JR"},
		{64, 52, "ReIsErFs", "3.5"}, {8, 20, "ReIsErFs", "3.5"},
	} {
		sb := p.at(m.kib<<10, 116)
		if sb == nil || !strings.HasPrefix(string(sb[m.off:]), m.magic) {
			continue
		}
		blockSize := uint32(le.Uint16(sb[44:]))
		// A superblock in the journal is of another filesystem.
		if blockSize < 512 || uint32(m.kib)/(blockSize>>9) > le.Uint32(sb[12:])/2 {
			continue
		}
		s := &Signature{Type: "reiserfs", Version: m.version, SizeBytes: product(uint64(le.Uint32(sb)), uint64(blockSize))}
		if m.version != "3.5" {
			s.Label, s.UUID = label(sb[100:116]), dashed(sb[84:100])
		}
		return s
	}
	if sb := p.at(64<<10, 52); sb != nil && strings.HasPrefix(string(sb), "ReIsEr4") && sb[19] >= 2 {
		return &Signature{Type: "reiser4", Version: "4", Label: label(sb[36:52]), UUID: dashed(sb[20:36])}
	}
	return nil
}

// probeJFS finds the first JFS superblock (fs/jfs/jfs_superblock.h). The size includes the
// space for fsck, and the log if it is in the volume.
func probeJFS(p *prober) *Signature {
	sb := p.at(32<<10, 184)
	if sb == nil || string(sb[:4]) != "JFS1" {
		return nil
	}
	blockSize, pblockSize := uint64(le.Uint32(sb[16:])), uint64(le.Uint32(sb[24:]))
	l2, l2factor, l2p := le.Uint16(sb[20:]), le.Uint16(sb[22:]), le.Uint16(sb[28:])
	if l2 > 31 || l2p > 31 || blockSize != 1<<l2 || pblockSize != 1<<l2p || l2-l2p != l2factor {
		return nil
	}
	size := product(le.Uint64(sb[8:]), pblockSize)
	for _, pxd := range [][]byte{sb[72:80], sb[80:88]} { // s_logpxd, s_fsckpxd
		length := uint64(le.Uint32(pxd) & 0xffffff)
		addr := uint64(pxd[3])<<32 | uint64(le.Uint32(pxd[4:]))
		size = max(size, product(addr+length, blockSize))
	}
	return &Signature{Type: "jfs", Label: label(sb[152:168]), UUID: dashed(sb[136:152]), SizeBytes: size}
}
