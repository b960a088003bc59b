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

// About is what is said of a volume to people.
type About struct {
	// Engine is what would read the volume's filesystem, and EngineWhy why that.
	Engine    Engine
	EngineWhy string
	// InUseAs is the device-mapper device by which somebody has the volume active, "" if
	// nobody has; Live how it is shown then, LiveAuto if that is known only when it is open.
	InUseAs string
	Live    Live
	// Filesystem is nil if none can be read. Full is nil if that cannot be read.
	Filesystem *volfs.Info
	Full       *volfs.Statfs
	// Problem is why nothing, or not all, can be shown; "" if all can.
	Problem string
	// Damaged says that the Problem is of what could not be read. Otherwise there is nothing
	// to be read: a blank volume, or a filesystem that nothing here reads.
	Damaged bool
}

// About says what is known of a volume by a peek of its whole. It opens nothing.
func (o *Opener) About(ctx context.Context, v *Volume, p *Peek) (a About, err error) {
	whole := v.At(layout.Place{})
	by := choice{engine: EngineDirect, why: "nothing else is there to be read"}
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
		} else if a.Problem == "" && !v.Deleted() {
			a.Problem = err.Error()
		}
	}
	a.Damaged = a.Problem != "" && (p.short != "" || !errors.Is(p.Err, syscall.EMEDIUMTYPE))
	return a, nil
}

// problem is why nothing, or not all, of a volume can be shown, "" if all can.
func (o *Opener) problem(ctx context.Context, v *Volume, p *Peek) string {
	_, known := v.Details()
	switch {
	case v.Deleted(): // nobody misses what is gone of it
	case p.Err != nil:
		problem := strings.TrimPrefix(p.Err.Error(), v.name+": ")
		if p.short != "" {
			problem += "; " + p.short
		}
		return problem
	case !known:
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
