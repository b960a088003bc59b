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
// [Linger] afterwards. So its owner can deactivate the device, or unmount the filesystem that
// the file is on. It is a [Reader]. Its methods may be called concurrently, except Close.
//
// It stands for the one file or device that was there at first. If another one is at the path
// later, reads return a [GoneError].
type OnDemand struct {
	path string
	opts Options
	look Look

	mu    sync.Mutex
	open  *opening    // what new users get; nil while they have to open the file; guarded by mu
	timer *time.Timer // closes the file; guarded by mu
	used  time.Time   // when the last user released the file; guarded by mu
	ended bool        // Close was called; guarded by mu
	until time.Time   // the file is not opened again before this; guarded by mu
}

// opening is a file that is being opened, or is open. If it is no longer OnDemand.open, its last
// user closes the file.
type opening struct {
	done  chan struct{} // closed once file or err is set
	file  *File
	err   error
	users int // guarded by OnDemand.mu
}

// GoneError says that a file or block device cannot be opened again: it is missing, or another
// one is in its place. It unwraps to EIO only, never to ENOENT: the file of a volume that is
// being read does exist, even if the volume's pool is missing.
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
	o.open = &opening{done: make(chan struct{}), file: f, users: 1}
	close(o.open.done)
	o.release(o.open)
	return o, nil
}

// Look is the file or device as it was when first opened.
func (o *OnDemand) Look() Look { return o.look }

// Size is the length in bytes when the file or device was first opened.
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

// Yield closes the file or device now, or after the reads under way, and keeps it closed for a
// pause. New reads wait until then, even if those under way last longer.
func (o *OnDemand) Yield(pause time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.until = time.Now().Add(pause)
	o.retire()
}

// Close closes the file or device for good. Later reads return os.ErrClosed.
func (o *OnDemand) Close() error {
	o.mu.Lock()
	o.ended = true
	o.mu.Unlock()
	o.Yield(0)
	return nil
}

// with calls use with the file, which it opens if necessary.
func (o *OnDemand) with(ctx context.Context, use func(*File) error) error {
	open, err := o.acquire()
	if err != nil {
		return err
	}
	defer o.release(open)
	select {
	case <-open.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if open.err != nil {
		return open.err
	}
	return use(open.file)
}

// acquire returns the file, which may still be being opened, to a user. The user calls release
// afterwards. The error wraps os.ErrClosed if Close was called.
func (o *OnDemand) acquire() (*opening, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return nil, &os.PathError{Op: "read", Path: o.path, Err: os.ErrClosed}
	}
	if o.open == nil {
		now, pause := &opening{done: make(chan struct{})}, time.Until(o.until)
		go func() {
			time.Sleep(pause)
			now.file, now.err = o.reopen()
			close(now.done)
		}()
		o.open = now
	}
	o.open.users++
	return o.open, nil
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
	f.size = o.look.SizeBytes // the length stays what it was at first
	return f, nil
}

// release ends a use of the file. The file is closed once it was not used for Linger. If it
// could not be opened, or all its users gave up waiting, the next reader opens it again.
func (o *OnDemand) release(open *opening) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if open.users--; open.users > 0 {
		return
	}
	if o.open != open {
		open.close()
		return
	}
	if !open.opened() {
		o.retire()
		return
	}
	o.used = time.Now()
	if o.timer == nil {
		o.timer = time.AfterFunc(Linger, o.expire)
	}
}

// retire makes the next user open the file again. The file is closed if it has no users,
// otherwise by the last of them. The caller holds mu.
func (o *OnDemand) retire() {
	open := o.open
	o.open = nil
	if open != nil && open.users == 0 {
		open.close()
	}
}

// opened reports whether the file is open.
func (f *opening) opened() bool {
	select {
	case <-f.done:
		return f.err == nil
	default:
		return false
	}
}

// close closes the file. It does not wait: closing a file that was only read is quick, and a
// file that is still being opened is closed as soon as it is open.
func (f *opening) close() {
	if f.opened() {
		f.file.Close()
		return
	}
	go func() {
		if <-f.done; f.file != nil {
			f.file.Close()
		}
	}()
}

// expire closes the file if it was not used for Linger. Otherwise it sets the timer again.
func (o *OnDemand) expire() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.timer = nil
	if o.open == nil {
		return
	}
	left := Linger - time.Since(o.used)
	if o.open.users == 0 && left <= 0 {
		o.retire()
		return
	}
	o.timer = time.AfterFunc(max(left, Linger/10), o.expire)
}
