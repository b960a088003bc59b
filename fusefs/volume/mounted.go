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

// mounted is a filesystem in an open volume, from the first request for it until it is given
// back.
//
// A filesystem that is read through the kernel, from a pool that somebody else has active,
// takes turns with the pool's owner. It is given back after lentTurn at the latest. If the
// volume is lent as a whole, the next turn begins after lentPause: during a turn the owner can
// neither delete the volume nor deactivate the pool, and nothing shows that the owner wants
// to. Files that are open in it go on in the next turn.
type mounted struct {
	*flight[volfs.FS]
	at time.Time // when it was opened
	// The type of the filesystem, and the engine that reads it; set with the flight's value.
	fstype string
	by     choice
	looked atomic.Int64 // when mountedSince last looked, in nanoseconds since at

	using  sync.RWMutex // held for reading by callers that use the filesystem, for writing by close
	closed bool         // it was given back; guarded by using

	mu    sync.Mutex
	files map[*File]struct{} // open in it; guarded by mu
}

const (
	lentTurn  = 800 * time.Millisecond
	lentPause = 200 * time.Millisecond
)

// takesTurns reports whether the filesystem takes turns with the pool's owner. A snapshot does
// not: the next snapshot would show another moment. Neither does the user's own mount, which
// is borrowed for each operation.
func (m *mounted) takesTurns() bool {
	return m.by.engine == EngineKernel && m.by.shared && m.by.live == ""
}

// use calls do with the filesystem, unless it was given back. do must not call use.
func (m *mounted) use(do func(volfs.FS) error) (used bool, err error) {
	m.using.RLock()
	defer m.using.RUnlock()
	if m.closed {
		return false, nil
	}
	return true, do(m.value)
}

// close waits for the calls under way, and gives the filesystem back. It closes the files that
// are open in it, except those in the user's own mount: they stay valid.
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

// add records a file that is open in the filesystem. Called within use.
func (m *mounted) add(f *File) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files == nil {
		m.files = make(map[*File]struct{})
	}
	m.files[f] = struct{}{}
}

// closeFile closes a file that is open in the filesystem. It does nothing if the filesystem was
// given back, which has closed the file.
func (m *mounted) closeFile(f *File) (err error) {
	_, err = m.use(func(volfs.FS) error {
		m.mu.Lock()
		delete(m.files, f)
		m.mu.Unlock()
		return f.bytes.Close()
	})
	return err
}

// With calls use with the filesystem at a root in the volume. It opens the filesystem first if
// that is not open. If that fails the volume stays open, and its bytes can be read. If the
// filesystem's user unmounts or changes it meanwhile, With calls use once more.
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

// WithOnce is With without a second call of use, for a caller that has already handed out
// results of the first.
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

// current returns the filesystem to use now at a root. It opens one if none is open, or if
// the open one is no longer valid.
func (c *Contents) current(ctx context.Context, r *Root) (*mounted, error) {
	c.mu.Lock()
	m := c.fss[r.Place]
	c.mu.Unlock()
	if m != nil && c.valid(ctx, r, m) {
		_, err := m.wait(ctx)
		return m, err
	}
	next := &mounted{at: time.Now(), flight: newFlight[volfs.FS]()}
	c.mu.Lock()
	if now := c.fss[r.Place]; now != nil && now != m { // another caller was faster
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

// replaced closes a filesystem that was replaced by another one.
func (c *Contents) replaced(m *mounted) {
	c.mu.Lock()
	c.old = append(c.old, m)
	c.mu.Unlock()
	go func() {
		if err := m.close(); err != nil {
			c.opener.Log.Warn("cannot give a filesystem back", "error", err)
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
		c.opener.Log.Warn("cannot give a filesystem back", "error", err)
	}
}

// drop closes the filesystem m at a place, because it is no longer valid. It does nothing if
// another one has replaced m.
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

// UseOpen calls use with the filesystem at a root if that one is open and cannot change. It
// never waits for an open.
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

// valid reports whether m may still be used. If somebody may be writing to the volume, a
// filesystem that was opened earlier may have changed since.
func (c *Contents) valid(ctx context.Context, r *Root, m *mounted) bool {
	if !m.landed() {
		return true
	}
	switch {
	case m.err != nil: // the cause may have passed
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

// mountedSince reports whether a volume that is shown by a snapshot has another user now, or
// can now be shown through its user's mount. It looks at most once in every span of fresh.
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
