package kernelfs

import "thintree/volfs"

// kernelNames are the kernel's names of the types for which blkid has other names.
var kernelNames = map[string]string{"ntfs": "ntfs3"}

// options are the mount options besides ro, by blkid's name of the type. They are explained
// in the kernel's Documentation/filesystems.
var options = map[string][]option{
	"ext2":     {noPanic},
	"ext3":     {noPanic, {key: "noload", skips: true}},
	"ext4":     {noPanic, {key: "noload", skips: true}},
	"xfs":      {{key: "norecovery", skips: true}, {key: "nouuid"}}, // snapshots have their origin's UUID
	"btrfs":    {{key: "rescue", value: "nologreplay", skips: true}},
	"f2fs":     {{key: "norecovery", skips: true}},
	"nilfs2":   {{key: "norecovery", skips: true}},
	"jfs":      nil, // only fsck replays its log
	"udf":      nil,
	"erofs":    nil,
	"squashfs": nil,
	"iso9660":  {{key: "utf8"}},
	"hfs":      {{key: "uid", value: "0"}, {key: "gid", value: "0"}},
	"hfsplus":  {{key: "umask", value: "022"}, {key: "nls", value: "utf8"}},
	"reiserfs": nil, // see writing
	"minix":    nil,
	"ocfs2":    nil,                                        // see writing
	"gfs2":     {{key: "lockproto", value: "lock_nolock"}}, // see writing
	"cramfs":   nil,
	"romfs":    nil,
	"exfat":    {{key: "uid", value: "0"}, {key: "gid", value: "0"}, {key: "umask", value: "022"}, {key: "iocharset", value: "utf8"}},
	"ntfs":     {{key: "uid", value: "0"}, {key: "gid", value: "0"}, {key: "umask", value: "022"}, {key: "iocharset", value: "utf8"}},
	// Stable inode numbers and handles, names in UTF-8, and fixed owners and modes.
	"vfat": {{key: "nfs", value: "nostale_ro"}, {key: "utf8"}, {key: "uid", value: "0"}, {key: "gid", value: "0"}, {key: "umask", value: "022"}},
}

// noPanic makes the kernel go on after damage. The superblock of an ext* can ask for a
// panic instead.
var noPanic = option{key: "errors", value: "continue"}

// option is a mount option. Its value is "" if it takes none.
type option struct {
	key, value string
	skips      bool // it keeps the kernel from replaying the journal
}

// optionsFor returns ro and those of a filesystem's options that apply.
func optionsFor(all []option, j volfs.Journal) []option {
	opts := []option{{key: "ro"}}
	for _, o := range all {
		if !o.skips || j == volfs.JournalSkip {
			opts = append(opts, o)
		}
	}
	return opts
}

// Reads reports whether this package reads a filesystem, by blkid's name of its type. The
// running kernel may lack it.
func Reads(fstype string) bool {
	_, ok := options[fstype]
	return ok
}
