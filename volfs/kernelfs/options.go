package kernelfs

import "thintree/volfs"

// kernelNames are those that blkid has another name for.
var kernelNames = map[string]string{"ntfs": "ntfs3"}

// options are what a filesystem is mounted with besides ro, by blkid's name. The kernel's
// Documentation/filesystems has them.
var options = map[string][]option{
	"ext2":     {noPanic},
	"ext3":     {noPanic, {key: "noload", skips: true}},
	"ext4":     {noPanic, {key: "noload", skips: true}},
	"xfs":      {{key: "norecovery", skips: true}, {key: "nouuid"}}, // snapshots have their origin's UUID
	"btrfs":    {{key: "rescue", value: "nologreplay", skips: true}},
	"f2fs":     {{key: "norecovery", skips: true}},
	"nilfs2":   {{key: "norecovery", skips: true}},
	"jfs":      nil, // whose log only fsck replays
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
	// Inode numbers and handles that hold, names in UTF-8, and modes that are not
	// those of this process.
	"vfat": {{key: "nfs", value: "nostale_ro"}, {key: "utf8"}, {key: "uid", value: "0"}, {key: "gid", value: "0"}, {key: "umask", value: "022"}},
}

// noPanic has an ext* that is damaged read as far as it can be: its superblock can
// say that the kernel is to panic.
var noPanic = option{key: "errors", value: "continue"}

// option is a mount option; a value of "" is none.
type option struct {
	key, value string
	skips      bool // it has the journal left as it is
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

// Reads reports whether the kernel's reading of a filesystem, by blkid's name of
// its type, is what this package can give.
func Reads(fstype string) bool {
	_, ok := options[fstype]
	return ok
}
