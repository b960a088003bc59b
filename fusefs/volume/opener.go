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
	// OpenTimeout is how long the kernel engine may take to borrow a volume.
	OpenTimeout time.Duration
	// HeldRoot reads the pools as of their metadata snapshots.
	HeldRoot bool
	// Engine says what reads the filesystems; "" is EngineDirect. Kernel is for the
	// kernel engine, and says which volumes are in use; nil if there is none.
	Engine Engine
	Kernel Kernel
	// Live says what is shown of a volume that is in use; "" is LiveAuto.
	Live Live
	// Journal says what is done about journals.
	Journal volfs.Journal
	// Readers finds the reader of a filesystem type in this process; nil is readers.For.
	Readers func(fstype string) (volfs.Reader, bool)
	// Log is not nil.
	Log *slog.Logger
}

// Opener opens pools and volumes. Its methods may be called concurrently.
type Opener struct {
	Options
	watched *atomic.Bool // see SetWatched; nil without Kernel
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

// SetWatched says whether device-mapper is watched now, so that nothing can happen to a
// device without a sign. It is not at first.
func (o *Opener) SetWatched(watched bool) { o.watched.Store(watched) }
