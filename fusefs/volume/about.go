package volume

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"thintree/fusefs/layout"
	"thintree/volfs"
	"thintree/volfs/probe"
)

// About describes a volume to a person.
type About struct {
	// Engine is the engine that would read the volume's filesystem. EngineWhy is the reason for
	// that choice.
	Engine    Engine
	EngineWhy string
	// InUseAs is the name of the device-mapper device with which somebody else has the volume
	// active, "" if nobody has. Live is how the volume is shown then, and LiveAuto if that is
	// known only once the volume is open.
	InUseAs string
	Live    Live
	// Filesystem is nil if no filesystem can be read. Full is how full it is, nil if that cannot
	// be read.
	Filesystem *volfs.Info
	Full       *volfs.Statfs
	// Problem is why nothing or only a part can be shown, "" if everything can.
	Problem string
	// Damaged says that the Problem is a failure to read something. Otherwise there is nothing
	// to read: the volume is blank, or no engine reads its filesystem.
	Damaged bool
}

// About describes a volume from a peek of the whole volume. It leaves nothing open.
func (o *Opener) About(ctx context.Context, v *Volume, p *Peek) (a About, err error) {
	whole := v.At(layout.Place{})
	by := choice{engine: EngineDirect, why: "no filesystem lies directly on the volume"}
	if p.Found.Kind == probe.KindFilesystem {
		by, err = o.choose(ctx, whole, p.Found, p.SizeBytes)
		if err != nil && by.live != LiveSkip {
			return a, err
		}
	}
	if by.orDirect != "" && p.fs != nil && !p.fs.opened {
		by.readDirectly()
	}
	a = About{Engine: by.engine, EngineWhy: by.why, InUseAs: by.user.Name, Live: by.live}
	a.Problem = o.problem(ctx, v, p)
	if p.fs != nil {
		a.Filesystem = &p.fs.info
		full, err := o.Statfs(ctx, whole, p)
		if err == nil {
			a.Full = &full
		} else if a.Problem == "" && !v.Record().Deleted() {
			a.Problem = err.Error()
		}
	}
	a.Damaged = a.Problem != "" && (p.short != "" || !errors.Is(p.Err, syscall.EMEDIUMTYPE))
	return a, nil
}

// problem is why nothing or only a part of a volume can be shown, "" if everything can.
func (o *Opener) problem(ctx context.Context, v *Volume, p *Peek) string {
	_, known := v.Details()
	switch {
	case v.Record().Deleted(): // nobody needs what is missing from it
	case p.Err != nil:
		problem := strings.TrimPrefix(p.Err.Error(), v.name+": ")
		if p.short != "" {
			problem += "; " + p.short
		}
		return problem
	case !known && v.Pool != nil:
		return fmt.Sprintf("pool %s has no device %d", v.Pool.Name(), v.deviceID)
	case p.short != "":
		return p.short
	case p.fs != nil && p.fs.info.Problem != "":
		return p.fs.info.Problem
	case len(Partitions(p.Found)) > 0:
		return o.shortPartition(ctx, v, p)
	}
	return ""
}
