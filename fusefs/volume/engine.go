package volume

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"thintree/thin"
	"thintree/thin/block"
	"thintree/thin/lend"
	"thintree/volfs"
	"thintree/volfs/kernelfs"
)

// Engine is what reads the filesystems in volumes: this process (EngineDirect), or the
// kernel (EngineKernel), in which the volume is activated and mounted.
type Engine string

// The engines. EngineAuto is direct for a filesystem that this process can read and whose
// journal need not be replayed, so that no owner of a pool is disturbed. For any other
// filesystem it is the kernel if the pool is active, because then the pool is this host's own.
// The kernel gets nothing from a disk image unless the user asks for it: a crafted filesystem
// could harm it.
const (
	EngineAuto   Engine = "auto"
	EngineKernel Engine = "kernel"
	EngineDirect Engine = "direct"
)

// Live says what is shown of a volume that somebody has active and open, and so may be
// writing to.
type Live string

// The ways to show it. LiveAuto is LiveBind if that is possible, otherwise LiveSnapshot,
// otherwise LiveDisk.
const (
	LiveAuto     Live = "auto"
	LiveBind     Live = "bind"     // through the mount of the process that uses it
	LiveSnapshot Live = "snapshot" // as it was when it was opened, by a temporary snapshot in the pool
	LiveDisk     Live = "disk"     // as it is on the disk, possibly in the middle of a change
	LiveSkip     Live = "skip"     // not at all: an error
)

// Kernel lends devices of pools. It activates them in the kernel. A *[lend.Lender] is one.
type Kernel interface {
	// Users returns the activations of a pool's devices by others, by device id.
	Users(ctx context.Context, metadata block.Location) (map[uint32]lend.User, error)
	// Halves are where the halves of an active pool lie, by its device-mapper name.
	Halves(ctx context.Context, device string) (metadata, data block.Location, err error)
	// UserOf returns the activation by another program of the device at a place.
	UserOf(ctx context.Context, at block.Location) (lend.User, error)
	// Watch calls changed when it begins to watch, and whenever the users may have changed,
	// until ctx is done. unseen says that a device was removed before Watch could see which
	// pool it belonged to.
	Watch(ctx context.Context, changed func(unseen bool)) error
	// Lend lends a device.
	Lend(ctx context.Context, r lend.Request) (*lend.Loan, error)
	// Lent lists the loans of a device that are still there.
	Lent(ctx context.Context, metadata block.Location, id uint32) ([]*lend.Loan, error)
	// Suspended returns the name of the pool, or of its device with the id, if that one is
	// suspended: reads of it wait. It is "" if neither is suspended.
	Suspended(ctx context.Context, metadata block.Location, id uint32) (device string, err error)
}

// choice is the engine that reads a volume or partition, and why.
type choice struct {
	engine Engine
	why    string
	live   Live      // "" if nobody may be writing
	user   lend.User // the activation by somebody else, zero if there is none
	shared bool      // somebody else has the pool active
	// orDirect is why the direct engine reads the filesystem after all, if no journal has to
	// be replayed. It is "" if that engine must not.
	orDirect string
}

// readDirectly switches to the direct engine, with orDirect as the reason.
func (c *choice) readDirectly() { c.engine, c.why, c.orDirect = EngineDirect, c.orDirect, "" }

// replays reports whether the kernel has to replay a filesystem's journal. The direct engine
// cannot do that.
func (o *Opener) replays(fs volfs.Info) bool { return fs.Dirty && o.Journal != volfs.JournalSkip }

// engine chooses the engine for a filesystem type, named as blkid names it.
func (o *Opener) engine(ctx context.Context, r *Root, fstype string) (choice, error) {
	if o.HeldRoot {
		return choice{engine: EngineDirect, why: "the kernel shows no metadata snapshot"}, nil
	}
	if o.Kernel == nil {
		why := "asked for"
		if o.Engine != EngineDirect {
			why = "the kernel's device-mapper cannot be used"
		}
		return choice{engine: EngineDirect, why: why}, nil
	}
	if !r.Place.IsRange() {
		return choice{engine: EngineDirect, why: "it is a volume within a volume"}, nil
	}
	if r.Volume.Pool == nil {
		return o.plainEngine(ctx, r, fstype)
	}
	if origin := r.Volume.origin.Load(); r.Volume.Record().ExternalOrigin != "" && (origin == nil || origin.Record().Plain.IsNowhere()) {
		return choice{engine: EngineDirect, why: "it reads through to an external origin that is in a pool"}, nil
	}
	metadata, _ := r.Volume.Pool.reader.Halves()
	users, err := o.Kernel.Users(ctx, metadata)
	active := err == nil
	if err != nil && !errors.Is(err, thin.ErrNotActive) {
		return choice{}, unread(err)
	}
	c := choice{engine: EngineDirect, user: users[r.Volume.deviceID], shared: active}
	if c.user.Writing() {
		c.live = o.Live
		if o.Engine == EngineDirect && c.live != LiveSkip {
			c.live = LiveDisk
		}
	}
	switch {
	case c.live == LiveSkip:
		c.why = "it is in use as " + c.user.Name + ", and --live skip leaves that out"
		return c, fmt.Errorf("%s: %w", c.why, syscall.EBUSY)
	case o.Engine == EngineDirect:
		c.why = "asked for"
	case !kernelfs.Reads(fstype):
		c.why = fstype + " is not read through the kernel"
	case c.live == LiveDisk:
		c.why = "it is in use as " + c.user.Name
	case c.live != "":
		c.engine, c.why = EngineKernel, "it is in use as "+c.user.Name
	case active && r.Volume.Record().Deleted():
		c.why = "its owner is about to delete it"
	case active && c.user.Name != "":
		c.engine, c.why = EngineKernel, "the pool is active, and nobody has "+c.user.Name+" open to write to it"
	case active:
		c.engine, c.why = EngineKernel, "the pool is active"
	case o.Engine == EngineKernel:
		c.engine, c.why = EngineKernel, "asked for; the pool is activated for it"
	default:
		c.why = "the pool is not active"
	}
	if c.engine == EngineDirect && c.live != "" {
		c.live = LiveDisk
	}
	if c.engine == EngineKernel && c.live == "" && o.Engine == EngineAuto && o.readsDirectly(fstype) {
		c.orDirect = c.why + ", and thintree reads " + fstype + " itself without activating anything"
	}
	return c, nil
}
