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

// Engine is what reads the filesystems in volumes: this process (direct), or the
// kernel, which activates the volume for it and mounts it.
type Engine string

// The engines. EngineAuto is direct for what this process reads and needs no journal
// replayed, so that no owner of a pool is disturbed. For the rest it is the kernel, if the
// pool is active in it, so that it is this host's own: what lies on a disk image is nothing
// to hand to the kernel unasked.
const (
	EngineAuto   Engine = "auto"
	EngineKernel Engine = "kernel"
	EngineDirect Engine = "direct"
)

// Live says what is shown of a volume that somebody has active and open, and so may be
// writing to.
type Live string

// What can be shown of it. LiveAuto is LiveBind where that can be had, otherwise
// LiveSnapshot, otherwise LiveDisk.
const (
	LiveAuto     Live = "auto"
	LiveBind     Live = "bind"     // what they see, through their mount
	LiveSnapshot Live = "snapshot" // as of when it was opened, by a temporary snapshot in the pool
	LiveDisk     Live = "disk"     // what lies on the disk, which may be amid a change
	LiveSkip     Live = "skip"     // nothing: an error
)

// Kernel lends devices of pools that the kernel activates. A *[lend.Lender] is one.
type Kernel interface {
	// Users are the activations of a pool's devices by others, by device id.
	Users(ctx context.Context, metadata block.Location) (map[uint32]lend.User, error)
	// Watch calls changed when it begins to watch, and whenever that may have changed, until
	// ctx is done. unseen says that a device has come and gone before it could be seen whose
	// it was.
	Watch(ctx context.Context, changed func(unseen bool)) error
	// Lend lends a device.
	Lend(ctx context.Context, r lend.Request) (*lend.Loan, error)
	// Lent lists the loans of a device that are still there.
	Lent(ctx context.Context, metadata block.Location, id uint32) ([]*lend.Loan, error)
	// Suspended is the pool, or the device of an id in it, that somebody has suspended: what
	// is read of it waits. It is "" if neither is.
	Suspended(ctx context.Context, metadata block.Location, id uint32) (device string, err error)
}

// choice is which engine serves a volume or partition, and why that one.
type choice struct {
	engine Engine
	why    string
	live   Live      // "" if nobody may be writing
	user   lend.User // who has it active
	shared bool      // somebody else has the pool active
	// orDirect says why this process reads what the kernel otherwise would, if it can and
	// no journal has to be replayed; "" if it is not to.
	orDirect string
}

// readDirectly makes the choice for orDirect.
func (c *choice) readDirectly() { c.engine, c.why, c.orDirect = EngineDirect, c.orDirect, "" }

// replays reports whether a filesystem has a journal that the kernel is to replay: this
// process does not.
func (o *Opener) replays(fs volfs.Info) bool { return fs.Dirty && o.Journal != volfs.JournalSkip }

// engine chooses for a filesystem of a type, by blkid's name.
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
	case active && r.Volume.Deleted():
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
