package kernelfs

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

// Journal says what a mount does with a filesystem's journal.
type Journal int

const (
	// SkipJournal leaves it: the filesystem is shown as it lies on the disk, which
	// may be older than its last state, or in the middle of a change.
	SkipJournal Journal = iota
	// ReplayJournal has it replayed where there is something in it, which writes to
	// the device: Open fails with EROFS or EIO on one that is read-only, and
	// nothing is written.
	ReplayJournal
)

// options are those of a filesystem that hold for j, and ro.
func (j Journal) options(all []option) []option {
	opts := []option{{key: "ro"}}
	for _, o := range all {
		if !o.skips || j == SkipJournal {
			opts = append(opts, o)
		}
	}
	return opts
}

// Reads tells whether the kernel's reading of a filesystem, by blkid's name of
// its type, is what this package can give.
func Reads(fstype string) bool {
	_, ok := options[fstype]
	return ok
}
