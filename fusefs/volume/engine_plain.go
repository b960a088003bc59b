package volume

import (
	"context"
	"fmt"
	"syscall"

	"thintree/volfs/kernelfs"
)

// plainEngine is engine for a volume that is in no pool.
func (o *Opener) plainEngine(ctx context.Context, r *Root, fstype string) (choice, error) {
	user, err := o.Kernel.UserOf(ctx, r.Volume.Record().Plain)
	if err != nil {
		return choice{}, unread(err)
	}
	c := choice{engine: EngineDirect, user: user}
	if user.Writing() {
		if c.live = o.Live; o.Engine == EngineDirect && c.live != LiveSkip || c.live == LiveSnapshot {
			c.live = LiveDisk
		}
	}
	switch {
	case c.live == LiveSkip:
		c.why = "it is in use as " + user.Name + ", and --live skip leaves that out"
		return c, fmt.Errorf("%s: %w", c.why, syscall.EBUSY)
	case o.Engine == EngineDirect:
		c.why = "asked for"
	case !kernelfs.Reads(fstype):
		c.why = fstype + " is not read through the kernel"
	case c.live == LiveDisk:
		c.why = "it is in use as " + user.Name
	case c.live != "":
		c.engine, c.why = EngineKernel, "it is in use as "+user.Name
	case o.Engine == EngineKernel:
		c.engine, c.why = EngineKernel, "asked for"
	case user.Name != "":
		c.engine, c.why = EngineKernel, "it is active as "+user.Name+", and nobody has that open to write to it"
	default:
		c.why = "the volume is not active"
	}
	if c.engine == EngineKernel && c.live == "" && o.Engine == EngineAuto && o.readsDirectly(fstype) {
		c.orDirect = c.why + ", and thintree reads " + fstype + " itself without activating anything"
	}
	return c, nil
}
