package volfs

import "context"

// Reader reads filesystems of some types in this process. A new one is a package
// of its own and a line in volfs/readers.
type Reader struct {
	// Name is the reader's name: "ext4".
	Name string
	// Types are the filesystems that it reads, as volfs/probe and blkid(8) name them.
	Types []string
	// Open begins to read a volume that holds one of these. The FS uses the volume
	// until it is closed, and does not close it. Errors are as those of an FS. Open may
	// be called concurrently.
	Open func(ctx context.Context, v Volume, o Options) (FS, error)
}

// Options say how a filesystem is read. The zero value is the default of each.
type Options struct {
	Journal Journal
}

// Journal is the choice about the journal of a filesystem that was not cleanly
// unmounted. The empty string is JournalReplay.
type Journal string

const (
	// JournalReplay shows what the journal holds.
	JournalReplay Journal = "replay"
	// JournalSkip shows the filesystem as it lies on the disk, which may be older than
	// its last state, or in the middle of a change.
	JournalSkip Journal = "skip"
)
