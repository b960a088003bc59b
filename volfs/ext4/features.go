package ext4

import (
	"fmt"
	"math/bits"
)

// Bits of s_feature_compat, s_feature_incompat and s_feature_ro_compat.
const (
	compatHasJournal   = 0x4
	compatDirIndex     = 0x20
	compatSparseSuper2 = 0x200

	incompatFiletype   = 0x2
	incompatRecover    = 0x4
	incompatJournalDev = 0x8
	incompatMetaBG     = 0x10
	incompatExtents    = 0x40
	incompat64bit      = 0x80
	incompatMMP        = 0x100
	incompatFlexBG     = 0x200
	incompatEAInode    = 0x400
	incompatCsumSeed   = 0x2000
	incompatLargedir   = 0x4000
	incompatInlineData = 0x8000
	incompatEncrypt    = 0x10000
	incompatCasefold   = 0x20000

	roCompatSparseSuper  = 0x1
	roCompatLargeFile    = 0x2
	roCompatBtreeDir     = 0x4
	roCompatHugeFile     = 0x8
	roCompatGDTCsum      = 0x10
	roCompatBigalloc     = 0x200
	roCompatMetadataCsum = 0x400
)

// incompatRead are the incompatible features that this package reads.
const incompatRead = incompatFiletype | incompatRecover | incompatMetaBG | incompatExtents | incompat64bit |
	incompatMMP | incompatFlexBG | incompatEAInode | incompatCsumSeed | incompatLargedir | incompatInlineData |
	incompatEncrypt | incompatCasefold

// featureSet is one of the three words of features, with the names that
// e2fsprogs has for its bits.
type featureSet struct {
	letter byte // of the set, in the name of a bit that has no other
	names  [32]string
}

var (
	compatNames = featureSet{'C', [32]string{0: "dir_prealloc", 1: "imagic_inodes", 2: "has_journal", 3: "ext_attr",
		4: "resize_inode", 5: "dir_index", 6: "lazy_bg", 8: "snapshot_bitmap", 9: "sparse_super2", 10: "fast_commit",
		11: "stable_inodes", 12: "orphan_file"}}
	incompatNames = featureSet{'I', [32]string{0: "compression", 1: "filetype", 2: "needs_recovery", 3: "journal_dev",
		4: "meta_bg", 6: "extent", 7: "64bit", 8: "mmp", 9: "flex_bg", 10: "ea_inode", 12: "dirdata",
		13: "metadata_csum_seed", 14: "large_dir", 15: "inline_data", 16: "encrypt", 17: "casefold"}}
	roCompatNames = featureSet{'R', [32]string{0: "sparse_super", 1: "large_file", 3: "huge_file", 4: "uninit_bg",
		5: "dir_nlink", 6: "extra_isize", 7: "snapshot", 8: "quota", 9: "bigalloc", 10: "metadata_csum", 11: "replica",
		12: "read-only", 13: "project", 14: "shared_blocks", 15: "verity", 16: "orphan_present"}}
)

// list returns the names of the bits that are set.
func (s *featureSet) list(word uint32) []string {
	var names []string
	for word != 0 {
		bit := bits.TrailingZeros32(word)
		word &^= 1 << bit
		name := s.names[bit]
		if name == "" {
			name = fmt.Sprintf("FEATURE_%c%d", s.letter, bit)
		}
		names = append(names, name)
	}
	return names
}

func (sb *superblock) compat(bits uint32) bool   { return sb.featureCompat&bits != 0 }
func (sb *superblock) incompat(bits uint32) bool { return sb.featureIncompat&bits != 0 }
func (sb *superblock) roCompat(bits uint32) bool { return sb.featureROCompat&bits != 0 }

func (sb *superblock) metadataCsum() bool { return sb.roCompat(roCompatMetadataCsum) }

func (sb *superblock) features() []string {
	names := compatNames.list(sb.featureCompat)
	names = append(names, incompatNames.list(sb.featureIncompat)...)
	return append(names, roCompatNames.list(sb.featureROCompat)...)
}

// fsType returns the filesystem's type as blkid(8) names it: the oldest one that has all
// the features.
func (sb *superblock) fsType() string {
	const (
		ext3Incompat = incompatFiletype | incompatRecover | incompatMetaBG
		ext3ROCompat = roCompatSparseSuper | roCompatLargeFile | roCompatBtreeDir
	)
	switch {
	case sb.incompat(^uint32(ext3Incompat)) || sb.roCompat(^uint32(ext3ROCompat)):
		return "ext4"
	case sb.compat(compatHasJournal):
		return "ext3"
	}
	return "ext2"
}
