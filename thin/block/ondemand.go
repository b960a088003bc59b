package block

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// Linger is how long an [OnDemand] stays open after it was last read.
const Linger = 500 * time.Millisecond

// OnDemand is a file or block device that is open only while it is read, and for up to
// [Linger] afterwards: so its owner can deactivate the device, or unmount the filesystem
// that the file is on. It is a [Reader]. Its methods may be called concurrently, but for
// Close.
//
// It stands for the one file or device that was there at first. If another one is at
// the path later, reading is a [GoneError].
type OnDemand struct {
	path string
	opts Options
	look Look

	mu    sync.Mutex
	open  *opening    // the file, which may be on its way; nil while it is closed; guarded by mu
	users int         // of open; guarded by mu
	timer *time.Timer // closes it; guarded by mu
	used  time.Time   // when the last user let go of it; guarded by mu
	yield bool        // it is to be closed with its last user; guarded by mu
	ended bool        // it was closed for good; guarded by mu
	until time.Time   // it is not opened again before; guarded by mu
}

// opening is a file that is being opened, or is open.
type opening struct {
	done chan struct{} // closed once file or err is set
	file *File
	err  error
}

// GoneError says that a file or block device cannot be opened again: it is not there,
// or another one is there. It unwraps to EIO alone: what was read of a volume exists,
// whatever became of the place where it lies.
type GoneError struct {
	Path string
	Err  error
}

func (e *GoneError) Error() string {
	return fmt.Sprintf("%s cannot be opened again: %v", e.Path, e.Err)
}

// Unwrap makes errors.Is(err, syscall.EIO) true.
func (e *GoneError) Unwrap() error { return syscall.EIO }

var errReplaced = errors.New("another file or device is there now")

// OpenOnDemand opens a file or block device as [Open] does, with its errors.
func OpenOnDemand(path string, opts Options) (*OnDemand, error) {
	look, err := LookAt(path)
	if err != nil {
		return nil, err
	}
	o := &OnDemand{path: path, opts: opts, look: look}
	f, err := Open(path, opts)
	if err != nil {
		return nil, err
	}
	o.look.Identity, o.look.SizeBytes = f.Identity(), f.Size()
	o.open = &opening{done: make(chan struct{}), file: f}
	close(o.open.done)
	o.users = 1
	o.release()
	return o, nil
}

// Look is what the file or device was when it was first opened.
func (o *OnDemand) Look() Look { return o.look }

// Size is the length in bytes when it was first opened.
func (o *OnDemand) Size() int64 { return o.look.SizeBytes }

// ReadAt reads as [File.ReadAt] does.
func (o *OnDemand) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	err = o.with(ctx, func(f *File) error {
		n, err = f.ReadAt(ctx, p, off)
		return err
	})
	return n, err
}

// NextData is as in [Reader].
func (o *OnDemand) NextData(ctx context.Context, off int64) (at int64, err error) {
	err = o.with(ctx, func(f *File) error {
		at, err = f.NextData(ctx, off)
		return err
	})
	return at, err
}

// NextHole is as in [Reader].
func (o *OnDemand) NextHole(ctx context.Context, off int64) (at int64, err error) {
	err = o.with(ctx, func(f *File) error {
		at, err = f.NextHole(ctx, off)
		return err
	})
	return at, err
}

// Yield closes it now, or with its last reader, and leaves it closed for a while. Readers
// who come meanwhile wait.
func (o *OnDemand) Yield(pause time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.until = time.Now().Add(pause)
	if o.users > 0 {
		o.yield = true
		return
	}
	o.closeIdle()
}

// Close closes it for good: what is read afterwards is os.ErrClosed.
func (o *OnDemand) Close() error {
	o.mu.Lock()
	o.ended = true
	o.mu.Unlock()
	o.Yield(0)
	return nil
}

// with calls use with the open file.
func (o *OnDemand) with(ctx context.Context, use func(*File) error) error {
	f, err := o.acquire(ctx)
	if err == os.ErrClosed {
		return &os.PathError{Op: "read", Path: o.path, Err: err}
	}
	defer o.release()
	if err != nil {
		return err
	}
	return use(f)
}

// acquire gives the file to a user, who calls release unless it was closed for good.
func (o *OnDemand) acquire(ctx context.Context) (*File, error) {
	o.mu.Lock()
	if o.ended {
		o.mu.Unlock()
		return nil, os.ErrClosed
	}
	o.users++
	now := o.open
	if now == nil {
		now = &opening{done: make(chan struct{})}
		o.open = now
		pause := time.Until(o.until)
		go func() {
			time.Sleep(pause)
			now.file, now.err = o.reopen()
			close(now.done)
		}()
	}
	o.mu.Unlock()
	select {
	case <-now.done:
		return now.file, now.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (o *OnDemand) reopen() (*File, error) {
	f, err := Open(o.path, o.opts)
	if err != nil {
		return nil, &GoneError{o.path, err}
	}
	if f.Identity() != o.look.Identity {
		f.Close()
		return nil, &GoneError{o.path, errReplaced}
	}
	f.size = o.look.SizeBytes // what was there at first is the whole of it
	return f, nil
}

// release lets go of the file, which is closed when nobody has used it for a while. One
// that could not be opened is tried again by the next reader.
func (o *OnDemand) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.users--; o.users > 0 {
		return
	}
	select {
	case <-o.open.done:
	default: // all who waited for it gave up
		o.abandon(o.open)
		return
	}
	if o.open.err != nil || o.yield {
		o.closeIdle()
		return
	}
	o.used = time.Now()
	if o.timer == nil {
		o.timer = time.AfterFunc(Linger, o.expire)
	}
}

// abandon closes a file that is still being opened, once it is. Called with mu held.
func (o *OnDemand) abandon(open *opening) {
	o.open, o.yield = nil, false
	go func() {
		if <-open.done; open.file != nil {
			open.file.Close()
		}
	}()
}

// expire closes the file if it was not used for Linger, or looks again when that may be.
func (o *OnDemand) expire() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.timer = nil
	if o.open == nil {
		return
	}
	left := Linger - time.Since(o.used)
	if o.users == 0 && left <= 0 {
		o.closeIdle()
		return
	}
	o.timer = time.AfterFunc(max(left, Linger/10), o.expire)
}

// closeIdle closes a file that has no users. Called with mu held: the close of what was
// opened to be read waits for nothing.
func (o *OnDemand) closeIdle() {
	if o.open == nil {
		return
	}
	if o.open.file != nil {
		o.open.file.Close()
	}
	o.open, o.yield = nil, false
}
