package volume

import (
	"log/slog"
	"sync/atomic"
	"time"

	"thintree/volfs"
	"thintree/volfs/readers"
)

// Options say how volumes are read.
type Options struct {
	// OpenTimeout is how long the kernel engine may take to borrow a volume, and then to mount
	// it.
	OpenTimeout time.Duration
	// HeldRoot says to read the pools as of their metadata snapshots.
	HeldRoot bool
	// ForceNames says to show devices under the names of records that are not theirs.
	ForceNames bool
	// Engine is the engine that reads the filesystems; "" is EngineDirect.
	Engine Engine
	// Kernel lends volumes to the kernel engine, and says which volumes are in use. It is nil
	// if device-mapper cannot be used.
	Kernel Kernel
	// Live says how a volume that is in use is shown; "" is LiveAuto.
	Live Live
	// Journal says whether journals are replayed.
	Journal volfs.Journal
	// Readers finds the direct engine's reader of a filesystem type; nil is readers.For.
	Readers func(fstype string) (volfs.Reader, bool)
	// Log is not nil.
	Log *slog.Logger
}

// Opener opens pools and volumes. Its methods may be called concurrently.
type Opener struct {
	Options
	watched  *atomic.Bool             // see SetWatched; nil without Kernel
	features atomic.Pointer[[]string] // of the filesystem that was peeked at last
}

// NewOpener makes an Opener.
func NewOpener(o Options) *Opener {
	if o.Engine == "" {
		o.Engine = EngineDirect
	}
	if o.Readers == nil {
		o.Readers = readers.For
	}
	if o.Live == "" {
		o.Live = LiveAuto
	}
	opener := &Opener{Options: o}
	if o.Kernel != nil {
		opener.watched = new(atomic.Bool)
	}
	return opener
}

// SetWatched says whether device-mapper is watched from now on, so that every change of hands
// of a device leaves a sign. At first it is not.
func (o *Opener) SetWatched(watched bool) { o.watched.Store(watched) }
