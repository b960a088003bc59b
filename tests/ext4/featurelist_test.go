package ext4

import (
	"slices"
	"testing"
)

func features() []feature {
	return slices.Concat(generations(), layouts(), inodes(), checksums(), folderFeatures(), others())
}

// ext4With is an ext4 of 4 KiB blocks with more options.
func ext4With(mke2fs ...string) []string {
	return append([]string{"-t", "ext4", "-b", "4096"}, mke2fs...)
}

func generations() []feature {
	extents1K, extents2K, extents4K := limits(1*kib), limits(2*kib), limits(4*kib)
	maps1K, maps2K, maps4K := blockMapLimits(1*kib), blockMapLimits(2*kib), blockMapLimits(4*kib)
	return []feature{
		{name: "ext4 as mke2fs makes it", mke2fs: []string{"-t", "ext4", "-L", "a label", "-U", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}, refused: extents1K},
		{name: "ext4 of 1K blocks", mke2fs: []string{"-t", "ext4", "-b", "1024"}, refused: extents1K},
		{name: "ext4 of 2K blocks", mke2fs: []string{"-t", "ext4", "-b", "2048"}, refused: extents2K},
		{name: "ext4 of 4K blocks", mke2fs: ext4With(), refused: extents4K},
		{name: "ext3 of 1K blocks", mke2fs: []string{"-t", "ext3", "-b", "1024"}, refused: maps1K},
		{name: "ext3 of 2K blocks", mke2fs: []string{"-t", "ext3", "-b", "2048"}, refused: maps2K},
		{name: "ext3 of 4K blocks", mke2fs: []string{"-t", "ext3", "-b", "4096"}, refused: maps4K},
		{name: "ext2 of 1K blocks", mke2fs: []string{"-t", "ext2", "-b", "1024"}, refused: maps1K},
		{name: "ext2 of 4K blocks", mke2fs: []string{"-t", "ext2", "-b", "4096"}, refused: maps4K},
		{name: "ext2 revision 0", mke2fs: []string{"-t", "ext2", "-b", "1024", "-r", "0", "-O", "none"}, refused: maps1K},
		{name: "ext4 without extents", mke2fs: ext4With("-O", "^extent,^64bit"), refused: limits(4*kib, noExtents...)},
		{name: "ext4 without a journal", mke2fs: ext4With("-O", "^has_journal"), refused: extents4K},
		{name: "ext3 turned into ext4", mke2fs: []string{"-t", "ext3", "-b", "4096"}, refused: maps4K, after: addedExtents},
	}
}

// layouts are about where groups and their tables lie.
func layouts() []feature {
	refused := limits(4 * kib)
	with := func(name string, mke2fs ...string) feature {
		return feature{name: name, mke2fs: ext4With(mke2fs...), refused: refused}
	}
	return []feature{
		with("without 64bit", "-O", "^64bit"),
		with("meta_bg", "-O", "meta_bg,^resize_inode"),
		{name: "meta_bg in many groups", mke2fs: []string{"-t", "ext4", "-b", "1024", "-g", "512", "-O", "meta_bg,^resize_inode"}, refused: limits(1 * kib)},
		with("without flex_bg", "-O", "^flex_bg"),
		with("flex_bg of 64 groups", "-G", "64", "-g", "2048"),
		with("small groups", "-g", "1024"),
		with("sparse_super2", "-O", "sparse_super2,^resize_inode"),
		with("sparse_super2 with one backup", "-O", "sparse_super2,^resize_inode", "-E", "num_backup_sb=1"),
		with("without sparse_super", "-O", "^sparse_super,^resize_inode", "-g", "4096"),
		with("without resize_inode", "-O", "^resize_inode"),
		with("packed metadata blocks", "-E", "packed_meta_blocks=1"),
		with("stride", "-E", "stride=16,stripe_width=64"),
		with("uninitialised tables", "-E", "lazy_itable_init=1,lazy_journal_init=1"),
		with("bigalloc of 16K clusters", "-O", "bigalloc", "-C", "16384"),
		with("bigalloc of 64K clusters", "-O", "bigalloc", "-C", "65536"),
		{name: "bigalloc of 1K blocks", mke2fs: []string{"-t", "ext4", "-b", "1024", "-O", "bigalloc", "-C", "4096"}, refused: limits(1 * kib)},
	}
}

func inodes() []feature {
	refused := limits(4 * kib)
	inode := func(name string, mke2fs ...string) feature {
		return feature{name: name, mke2fs: ext4With(mke2fs...), refused: refused}
	}
	return []feature{
		inode("inodes of 128 bytes", "-I", "128", "-O", "^extra_isize"),
		inode("inodes of 256 bytes", "-I", "256"),
		inode("inodes of 512 bytes", "-I", "512"),
		inode("inodes of 1024 bytes", "-I", "1024"),
		inode("inodes of 4096 bytes", "-I", "4096", "-N", "16384"),
		inode("without extra_isize", "-O", "^extra_isize"),
		inode("inline_data in 256 bytes", "-I", "256", "-O", "inline_data"),
		inode("inline_data in 512 bytes", "-I", "512", "-O", "inline_data"),
		inode("inline_data in 1024 bytes", "-I", "1024", "-O", "inline_data"),
		inode("inline_data without metadata_csum", "-O", "inline_data,^metadata_csum"),
		{name: "inline_data in 1K blocks", mke2fs: []string{"-t", "ext4", "-b", "1024", "-I", "256", "-O", "inline_data"}, refused: limits(1*kib, "offset 3072 GiB")},
		{name: "inline_data without extents", mke2fs: ext4With("-O", "inline_data,^extent,^64bit"), refused: limits(4*kib, noExtents...)},
		{name: "ea_inode", mke2fs: ext4With("-O", "ea_inode")},
		{name: "ea_inode in 1K blocks", mke2fs: []string{"-t", "ext4", "-b", "1024", "-O", "ea_inode"}, refused: []string{"120 xattrs"}},
		{name: "ea_inode with inline_data", mke2fs: ext4With("-I", "512", "-O", "ea_inode,inline_data")},
		{name: "odd inodes", mke2fs: ext4With(), refused: refused, after: oddInodes},
		inode("without ext_attr", "-O", "^ext_attr"),
		{name: "without huge_file", mke2fs: ext4With("-O", "^huge_file"), refused: limits(4*kib, "offset 3072 GiB")},
		{name: "without large_file", mke2fs: ext4With("-O", "^large_file,^huge_file"), refused: limits(4*kib, "offset 3072 GiB")},
	}
}

func checksums() []feature {
	refused := limits(4 * kib)
	return []feature{
		{name: "uninit_bg", mke2fs: ext4With("-O", "^metadata_csum,uninit_bg"), refused: refused},
		{name: "uninit_bg without 64bit", mke2fs: ext4With("-O", "^metadata_csum,uninit_bg,^64bit"), refused: refused},
		{name: "without checksums", mke2fs: ext4With("-O", "^metadata_csum,^uninit_bg"), refused: refused},
		{name: "metadata_csum without 64bit", mke2fs: ext4With("-O", "^64bit,metadata_csum"), refused: refused},
		{name: "metadata_csum_seed with another UUID", mke2fs: ext4With("-O", "metadata_csum_seed"), refused: refused,
			before: tune("-U", "random"), after: tune("-U", "time")},
		{name: "metadata_csum with another UUID", mke2fs: ext4With(), refused: refused, after: checked(tune("-f", "-U", "random"))},
		{name: "metadata_csum added", mke2fs: ext4With("-O", "^metadata_csum"), refused: refused, after: checksumsAdded},
		{name: "metadata_csum taken away", mke2fs: ext4With(), refused: refused, after: checked(tune("-O", "^metadata_csum"))},
	}
}

func folderFeatures() []feature {
	refused := limits(4 * kib)
	folders := func(name string, before func(*testing.T, string), mke2fs ...string) feature {
		return feature{name: name, mke2fs: ext4With(mke2fs...), before: before, refused: refused}
	}
	return []feature{
		folders("hash half_md4, signed", hash("half_md4", "1")),
		folders("hash half_md4, unsigned", hash("half_md4", "2")),
		folders("hash tea, signed", hash("tea", "1")),
		folders("hash tea, unsigned", hash("tea", "2")),
		folders("hash legacy, signed", hash("legacy", "1")),
		folders("hash legacy, unsigned", hash("legacy", "2")),
		folders("without dir_index", nil, "-O", "^dir_index"),
		folders("without dir_nlink", nil, "-O", "^dir_nlink"),
		folders("without filetype", nil, "-O", "^filetype"),
		folders("large_dir", nil, "-O", "large_dir"),
		{name: "dir_index taken away", mke2fs: ext4With(), refused: refused, after: checked(tune("-O", "^dir_index"))},
		{name: "hash of 1K blocks", mke2fs: []string{"-t", "ext4", "-b", "1024"}, before: hash("tea", "2"), refused: limits(1 * kib)},
	}
}

func others() []feature {
	refused := limits(4 * kib)
	other := func(name string, mke2fs ...string) feature {
		return feature{name: name, mke2fs: ext4With(mke2fs...), refused: refused}
	}
	return []feature{
		// The kernel may lack what it needs to fill these.
		{name: "quota and project", mke2fs: ext4With(), refused: refused, after: tune("-O", "quota,project", "-Q", "usrquota,grpquota,prjquota")},
		{name: "project", mke2fs: ext4With(), refused: refused, after: tune("-O", "project")},
		other("verity bit", "-O", "verity"),
		other("encrypt bit", "-O", "encrypt"),
		other("stable_inodes", "-O", "encrypt,stable_inodes"),
		other("orphan_file", "-O", "orphan_file"),
		other("fast_commit", "-O", "fast_commit"),
		other("mmp", "-O", "mmp"),
		{name: "data=journal", mke2fs: ext4With(), mount: []string{"data=journal"}, refused: refused},
		{name: "nodelalloc", mke2fs: ext4With(), mount: []string{"nodelalloc"}, refused: refused},
		{name: "with recorded errors", mke2fs: ext4With("-L", "sixteen bytes, ü"), refused: refused, after: changed("set_super_value state 3")},
		{name: "made by Hurd", mke2fs: []string{"-t", "ext2", "-b", "4096", "-o", "hurd"}, refused: blockMapLimits(4 * kib)},
		{name: "made by FreeBSD", mke2fs: []string{"-t", "ext2", "-b", "4096", "-o", "freebsd"}, refused: blockMapLimits(4 * kib)},
		{name: "folders rewritten by e2fsck", mke2fs: ext4With(), refused: refused, after: e2fsck("-D")},
		{name: "block maps turned into extents", mke2fs: []string{"-t", "ext3", "-b", "1024"}, refused: blockMapLimits(1 * kib), after: func(t *testing.T, image string) {
			tune("-O", "extent")(t, image)
			e2fsck("-E", "bmap2extent")(t, image)
		}},
	}
}
