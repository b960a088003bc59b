package block

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Lazy reads the bytes at a [Location]. Each file and block device there is open only while
// it is read: see [OnDemand]. It is a [Reader]. Its methods may be called concurrently, except
// Close.
type Lazy struct {
	Reader
	leaves []*OnDemand // in the order of Location.Paths
}

// Open opens the files and devices of the Location, with the errors of [Open]. It is an error if
// two of its paths lead to one file or device. So no two paths can become the same when
// [Location.Find] finds devices at other paths.
func (l Location) Open(ctx context.Context, opts Options) (_ *Lazy, err error) {
	z := &Lazy{}
	defer func() {
		if err != nil {
			z.Close()
		}
	}()
	byPath, byIdentity := make(map[string]Reader), make(map[Identity]string)
	for _, path := range l.Paths() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		o, err := OpenOnDemand(path, opts)
		if err != nil {
			return nil, err
		}
		z.leaves = append(z.leaves, o)
		byPath[path] = o
		id := o.Look().Identity
		if other, same := byIdentity[id]; same {
			return nil, fmt.Errorf("%s and %s are the same file or device: they must be two", other, path)
		}
		byIdentity[id] = path
	}
	if len(z.leaves) == 0 {
		return nil, errors.New("a location that is nowhere cannot be opened")
	}
	z.Reader = l.Over(byPath)
	return z, nil
}

// Over is the Location's bytes, read from what byPath has for each of [Location.Paths].
func (l Location) Over(byPath map[string]Reader) Reader {
	if l.pieces == nil {
		return byPath[l.path]
	}
	parts := make([]Reader, len(l.pieces.list))
	for i, p := range l.pieces.list {
		parts[i] = Section(p.In.Over(byPath), p.Offset, p.Length)
	}
	return join(l.pieces, parts)
}

// Looks are the files and devices as they were when first opened, in the order of
// Location.Paths.
func (z *Lazy) Looks() Looks {
	looks := make(Looks, len(z.leaves))
	for i, o := range z.leaves {
		looks[i] = o.Look()
	}
	return looks
}

// Yield closes the device-mapper devices as soon as no read is under way, and keeps them closed
// for a pause, as [OnDemand.Yield] does. It reports whether there are any.
func (z *Lazy) Yield(pause time.Duration) (any bool) {
	for _, o := range z.leaves {
		if o.Look().DM != "" {
			o.Yield(pause)
			any = true
		}
	}
	return any
}

// Close closes all files and devices for good. Later reads return os.ErrClosed.
func (z *Lazy) Close() error {
	var errs []error
	for _, o := range z.leaves {
		errs = append(errs, o.Close())
	}
	return errors.Join(errs...)
}

// Looks are a [Look] at each file and device of a [Location], in the order of Location.Paths.
type Looks []Look

// AllFiles reports whether no block device is among them.
func (l Looks) AllFiles() bool {
	for _, look := range l {
		if look.Rdev != 0 {
			return false
		}
	}
	return true
}

// Same reports whether the files and devices are the same as before.
func (l Looks) Same(before Looks) bool {
	for i, look := range l {
		if look.Identity != before[i].Identity {
			return false
		}
	}
	return true
}

// Unchanged reports whether no file has changed since before, by its time of change. Block
// devices have none.
func (l Looks) Unchanged(before Looks) bool {
	for i, look := range l {
		if look.Changed != before[i].Changed {
			return false
		}
	}
	return true
}

// LookAt looks at all files and devices. It opens nothing. The errors are those of the
// function [LookAt].
func (l Location) LookAt() (looks Looks, err error) {
	for _, path := range l.Paths() {
		look, err := LookAt(path)
		if err != nil {
			return nil, err
		}
		looks = append(looks, look)
	}
	return looks, nil
}

// Find finds the files and devices that the Location had before, each as the function [Find]
// does.
func (l Location) Find(before Looks) (now Location, looks Looks, err error) {
	to := make(map[string]string)
	for i, path := range l.Paths() {
		at, look, err := Find(path, before[i])
		if err != nil {
			return l, nil, err
		}
		if at != path {
			to[path] = at
		}
		looks = append(looks, look)
	}
	return l.moved(to), looks, nil
}
