package kernelfs

// options are what a filesystem is mounted with besides ro, so that nothing of
// it is changed: no journal is replayed, and no superblock written. The kernel's
// Documentation/filesystems has them.
var options = map[string][]option{
	"ext2":  nil,
	"ext3":  {{"noload", ""}},
	"ext4":  {{"noload", ""}},
	"xfs":   {{"norecovery", ""}, {"nouuid", ""}}, // snapshots have their origin's UUID
	"btrfs": {{"rescue", "nologreplay"}},
	"f2fs":  {{"norecovery", ""}},
}

// option is a mount option; a value of "" is none.
type option struct{ key, value string }

// Reads tells whether the kernel's reading of a filesystem, by blkid's name of
// its type, is what this package can give.
func Reads(fstype string) bool {
	_, ok := options[fstype]
	return ok
}
