package volume

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"thintree/fusefs/layout"
	"thintree/thin/reader"
	"thintree/volfs"
	"thintree/volfs/kernelfs"
)

// mounted is a filesystem in an open volume, from when it was first asked for until it
// is given back.
//
// One that is read through the kernel, from a pool that somebody else has active, is given
// back in turns: it is there for lentTurn at most. If the volume is lent as a whole it is
// then not there for lentPause: as long as it is, the pool's owner can neither delete the
// volume nor deactivate the pool, and nothing shows that they want to. Files that are open in
// it go on in the next turn.
type mounted struct {
	*flight[volfs.FS]
	at time.Time // when it was opened
	// What lies there, and what reads it; set with the flight's value.
	fstype string
	by     choice
	looked atomic.Int64 // when mountedSince did, in nanoseconds since at

	using  sync.RWMutex // held to read by callers that use the filesystem, to write while it is given back
	closed bool         // it was given back; guarded by using

	mu    sync.Mutex
	files map[*File]struct{} // open in it; guarded by mu
}

const (
	lentTurn  = 800 * time.Millisecond
	lentPause = 200 * time.Millisecond
)

// takesTurns reports whether the filesystem is given back in turns. A snapshot is not: the
// next one would be of another moment. Neither is the owner's own mount, which is borrowed
// for each operation.
func (m *mounted) takesTurns() bool {
	return m.by.engine == EngineKernel && m.by.shared && m.by.live == ""
}

// use calls do with the filesystem, unless it was given back. do must not come back here.
func (m *mounted) use(do func(volfs.FS) error) (used bool, err error) {
	m.using.RLock()
	defer m.using.RUnlock()
	if m.closed {
		return false, nil
	}
	return true, do(m.value)
}

// close gives the filesystem back, once the calls under way are done. Files that are open
// in it are closed, but for those of the owner's own mount: they stay true.
func (m *mounted) close() error {
	<-m.done
	m.using.Lock()
	defer m.using.Unlock()
	if m.closed || m.value == nil {
		return nil
	}
	m.closed = true
	m.mu.Lock()
	files := m.files
	m.files = nil
	m.mu.Unlock()
	var errs []error
	for f := range files {
		errs = append(errs, f.bytes.Close())
	}
	return errors.Join(append(errs, m.value.Close())...)
}

// add takes note of a file that is open in the filesystem. Called within use.
func (m *mounted) add(f *File) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files == nil {
		m.files = make(map[*File]struct{})
	}
	m.files[f] = struct{}{}
}

// closeFile closes a file that is open in the filesystem, unless that was given back and
// the file with it.
func (m *mounted) closeFile(f *File) (err error) {
	_, err = m.use(func(volfs.FS) error {
		m.mu.Lock()
		delete(m.files, f)
		m.mu.Unlock()
		return f.bytes.Close()
	})
	return err
}

// With calls use with the filesystem at a root in the volume, which is opened if it is not.
// An error of that is the filesystem's own: the volume stays open, and its bytes can be read.
// If the filesystem is taken away meanwhile, because its owner has unmounted or changed it,
// use is called once more.
func (c *Contents) With(ctx context.Context, r *Root, use func(volfs.FS) error) error {
	for again := false; ; again = true {
		var used *mounted
		err := c.with(ctx, r, func(m *mounted, fs volfs.FS) error {
			used = m
			return use(fs)
		})
		if again || !errors.Is(err, kernelfs.ErrNotMounted) && !errors.Is(err, reader.ErrChanged) {
			return err
		}
		if used != nil {
			c.drop(r.Place, used)
		}
	}
}

// WithOnce is With without a second call of use, for a caller that has passed on what it got
// in the first.
func (c *Contents) WithOnce(ctx context.Context, r *Root, use func(volfs.FS) error) error {
	return c.with(ctx, r, func(_ *mounted, fs volfs.FS) error { return use(fs) })
}

func (c *Contents) with(ctx context.Context, r *Root, use func(*mounted, volfs.FS) error) error {
	for {
		m, err := c.current(ctx, r)
		if err != nil {
			return err
		}
		if used, err := m.use(func(fs volfs.FS) error { return use(m, fs) }); used {
			return err
		}
	}
}

// Ready opens the filesystem at a root, if it is not open.
func (c *Contents) Ready(ctx context.Context, r *Root) error {
	_, err := c.current(ctx, r)
	return err
}

// current is the filesystem at a root that is to be used now, opened if it is not.
func (c *Contents) current(ctx context.Context, r *Root) (*mounted, error) {
	c.mu.Lock()
	m := c.fss[r.Place]
	c.mu.Unlock()
	if m != nil && c.holds(ctx, r, m) {
		_, err := m.wait(ctx)
		return m, err
	}
	next := &mounted{at: time.Now(), flight: newFlight[volfs.FS]()}
	c.mu.Lock()
	if now := c.fss[r.Place]; now != nil && now != m { // another caller was quicker
		c.mu.Unlock()
		_, err := now.wait(ctx)
		return now, err
	}
	c.fss[r.Place] = next
	pause := time.Until(c.until)
	c.mu.Unlock()
	if m != nil {
		c.replaced(m)
	}
	next.start(ctx, func(ctx context.Context) (volfs.FS, error) {
		time.Sleep(pause)
		fs, err := c.mount(ctx, r, next)
		if err == nil && next.takesTurns() {
			time.AfterFunc(lentTurn, func() { c.giveBack(r.Place, next) })
		}
		return fs, err
	})
	_, err := next.wait(ctx)
	return next, err
}

// replaced closes a filesystem that another one takes the place of.
func (c *Contents) replaced(m *mounted) {
	c.mu.Lock()
	c.old = append(c.old, m)
	c.mu.Unlock()
	go func() {
		if err := m.close(); err != nil {
			c.opener.Log.Warn("giving a filesystem back", "error", err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.old = slices.DeleteFunc(c.old, func(other *mounted) bool { return other == m })
	}()
}

// giveBack ends the turn of a filesystem.
func (c *Contents) giveBack(at layout.Place, m *mounted) {
	err := m.close()
	c.mu.Lock()
	if c.fss[at] == m {
		delete(c.fss, at)
	}
	if _, pieces := m.value.(checkedFS); !pieces {
		c.until = time.Now().Add(lentPause)
	}
	c.mu.Unlock()
	if err != nil {
		c.opener.Log.Warn("giving a filesystem back", "error", err)
	}
}

// drop closes the filesystem at a place, which does not hold any more, unless another one
// has taken its place.
func (c *Contents) drop(at layout.Place, m *mounted) {
	c.mu.Lock()
	mine := c.fss[at] == m
	if mine {
		delete(c.fss, at)
	}
	c.mu.Unlock()
	if mine {
		c.replaced(m)
	}
}

// UseOpen calls use with the filesystem at a root, if that is open and cannot change: it
// waits for nothing.
func (c *Contents) UseOpen(r *Root, use func(volfs.FS)) (used bool) {
	c.mu.Lock()
	m := c.fss[r.Place]
	c.mu.Unlock()
	if m == nil || !m.landed() || m.err != nil || m.by.live != "" {
		return false
	}
	used, _ = m.use(func(fs volfs.FS) error {
		use(fs)
		return nil
	})
	return used
}

// holds reports whether what was mounted is still what lies there. If somebody may be writing
// to the volume, what was read a while ago need not be true any more.
func (c *Contents) holds(ctx context.Context, r *Root, m *mounted) bool {
	if !m.landed() {
		return true
	}
	switch {
	case m.err != nil: // it may have a passing cause
		return time.Since(m.at) <= fresh
	case m.by.live == "" && !r.Volume.Live():
		return true
	case m.by.engine != EngineKernel || m.by.live == "":
		return time.Since(m.at) <= fresh
	case m.by.live == LiveSnapshot:
		return c.opener.Live == LiveSnapshot || !c.mountedSince(ctx, r, m)
	}
	now, err := c.opener.engine(ctx, r, m.fstype)
	return err == nil && now.engine == EngineKernel && now.user == m.by.user
}

// mountedSince reports whether a volume that is shown by a snapshot, because nobody had it
// mounted in a way that can be reached, has another user now, or is mounted. It looks once
// in a while.
func (c *Contents) mountedSince(ctx context.Context, r *Root, m *mounted) bool {
	last := m.looked.Load()
	if now := time.Since(m.at); now-time.Duration(last) <= fresh || !m.looked.CompareAndSwap(last, int64(now)) {
		return false
	}
	now, err := c.opener.engine(ctx, r, m.fstype)
	if err != nil || now.user != m.by.user {
		return true
	}
	fs, err := c.opener.openMounted(ctx, now, r, volfs.Info{Type: m.fstype})
	if err != nil {
		return false
	}
	fs.Close()
	return true
}
