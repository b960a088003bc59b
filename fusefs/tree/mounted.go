package tree

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"thintree/volfs"
)

// mounted is a filesystem in an open volume, from when it was first asked for until it
// is given back.
//
// One that is read through the kernel, from a pool that somebody else has active, is given
// back in turns: it is there for lentTurn at most. If the volume is lent as a whole it is
// then not there for lentPause: as long as it is, the pool's owner can neither delete the
// volume nor deactivate the pool, and nothing shows that they want to. What is open in it
// goes on in the next turn.
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

// with calls use with the filesystem at a root in the volume. What is wrong with that is
// its own error: the volume stays open, and its bytes can be read.
func (c *content) with(ctx context.Context, r *fsRoot, use func(*mounted, volfs.FS) error) error {
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

// current is the filesystem at a root that is to be used now, mounted if it is not.
func (c *content) current(ctx context.Context, r *fsRoot) (*mounted, error) {
	c.mu.Lock()
	m := c.fss[r.part]
	c.mu.Unlock()
	if m != nil && c.holds(ctx, r, m) {
		_, err := m.wait(ctx)
		return m, err
	}
	next := &mounted{at: time.Now(), flight: newFlight[volfs.FS]()}
	c.mu.Lock()
	if now := c.fss[r.part]; now != nil && now != m { // another caller was quicker
		c.mu.Unlock()
		_, err := now.wait(ctx)
		return now, err
	}
	c.fss[r.part] = next
	pause := time.Until(c.until)
	c.mu.Unlock()
	if m != nil {
		c.replaced(m)
	}
	next.start(ctx, func(ctx context.Context) (volfs.FS, error) {
		time.Sleep(pause)
		fs, err := c.mount(ctx, r, next)
		if err == nil && next.takesTurns() {
			time.AfterFunc(lentTurn, func() { c.giveBack(r.part, next) })
		}
		return fs, err
	})
	_, err := next.wait(ctx)
	return next, err
}

// replaced closes a filesystem that another one takes the place of.
func (c *content) replaced(m *mounted) {
	c.mu.Lock()
	c.old = append(c.old, m)
	c.mu.Unlock()
	go func() {
		if err := m.close(); err != nil {
			c.tree.log.Warn("giving a filesystem back", "error", err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.old = slices.DeleteFunc(c.old, func(other *mounted) bool { return other == m })
	}()
}

// giveBack ends the turn of a filesystem.
func (c *content) giveBack(part int, m *mounted) {
	err := m.close()
	c.mu.Lock()
	if c.fss[part] == m {
		delete(c.fss, part)
	}
	if _, pieces := m.value.(checkedFS); !pieces {
		c.until = time.Now().Add(lentPause)
	}
	c.mu.Unlock()
	if err != nil {
		c.tree.log.Warn("giving a filesystem back", "error", err)
	}
}

// drop takes the filesystem at a partition for one that does not hold any more.
func (c *content) drop(part int, m *mounted) {
	c.mu.Lock()
	mine := c.fss[part] == m
	if mine {
		delete(c.fss, part)
	}
	c.mu.Unlock()
	if mine {
		c.replaced(m)
	}
}

// open is the filesystem at a partition, 0 for the whole volume, if it is open and cannot
// change; otherwise nil.
func (c *content) open(part int) *mounted {
	c.mu.Lock()
	m := c.fss[part]
	c.mu.Unlock()
	if m == nil {
		return nil
	}
	select {
	case <-m.done:
		if m.err == nil && m.by.live == "" {
			return m
		}
	default:
	}
	return nil
}

// holds reports whether what was mounted is still what lies there. Of a volume that
// somebody may be writing to, what was read a while ago need not be true any more.
func (c *content) holds(ctx context.Context, r *fsRoot, m *mounted) bool {
	select {
	case <-m.done:
	default:
		return true
	}
	switch {
	case m.err != nil: // it may have a passing cause
		return time.Since(m.at) <= fresh
	case m.by.live == "" && !r.live():
		return true
	case m.by.engine != EngineKernel || m.by.live == "":
		return time.Since(m.at) <= fresh
	case m.by.live == LiveSnapshot:
		return c.tree.opts.Live == LiveSnapshot || !c.mountedSince(ctx, r, m)
	}
	now, err := c.tree.engine(ctx, r, m.fstype)
	return err == nil && now.engine == EngineKernel && now.user == m.by.user
}

// mountedSince reports whether a volume that is shown by a snapshot, because nobody had it
// mounted in a way that can be reached, has another user now, or is mounted. It looks once
// in a while.
func (c *content) mountedSince(ctx context.Context, r *fsRoot, m *mounted) bool {
	last := m.looked.Load()
	if now := time.Since(m.at); now-time.Duration(last) <= fresh || !m.looked.CompareAndSwap(last, int64(now)) {
		return false
	}
	now, err := c.tree.engine(ctx, r, m.fstype)
	if err != nil || now.user != m.by.user {
		return true
	}
	fs, err := c.tree.openMounted(ctx, now, r, volfs.Info{Type: m.fstype})
	if err != nil {
		return false
	}
	fs.Close()
	return true
}
