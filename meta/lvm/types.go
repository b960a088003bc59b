package lvm

import "strings"

// unread are the types of segments of which nothing is read, and why. They are the known types of
// LVM that are in no other list.
var unread = map[string]string{
	// While a mirror is active its log changes with each write, and a leg that fails is noted
	// nowhere until the metadata change. So it is never certain which leg is right.
	"mirror":     "which of its copies is right is only known while it is active: `lvconvert --type raid1` makes it one that can be read",
	"cache":      "its newest blocks may be in the cache: `lvconvert --uncache` writes them back",
	"writecache": "its newest blocks may be in the cache: `lvconvert --uncache` writes them back",
	"integrity":  "its newest blocks may be in the journal: `lvconvert --raidintegrity n` writes them back",
	"vdo":        "its blocks are compressed and deduplicated by VDO",
	typeVDOPool:  "its blocks are compressed and deduplicated by VDO",
	"error":      "it has no bytes: reading it is an error",
	"zero":       "it has no bytes: it reads as zeros",
	"free":       "it has no bytes",
	// These are parts of other volumes.
	typeThinPool:  "a pool has no bytes of its own",
	typeCachePool: "a pool has no bytes of its own",
	typeThin:      "a thin volume is no place for other volumes here",
	typeSnapshot:  "a snapshot is no place for other volumes",
}

// whyNot says why segments of a type are not read.
func whyNot(kind string) string {
	if why := unread[kind]; why != "" {
		return why
	}
	for _, raid := range []string{"raid4", "raid5", "raid6", "raid10"} {
		if kind == raid || strings.HasPrefix(kind, raid+"_") {
			return "its blocks are spread over disks with their parity or copies: only the kernel reads that"
		}
	}
	return "a type of segments that is not known: it needs a newer thintree"
}
