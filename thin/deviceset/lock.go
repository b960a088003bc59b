package deviceset

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A lock is a mutex whose acquire ends with its context.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

func (l lock) acquire(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	default:
	}
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l lock) release() { <-l }

// lockPatience is how long to wait for another process. A process that was killed while it
// started a program holds the lock until the program runs.
const lockPatience = 2 * time.Second

// lockFolder locks a folder against other processes. It leaves no file in the folder. The
// lock ends with the process.
func lockFolder(ctx context.Context, dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(lockPatience); ; {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EWOULDBLOCK && err != unix.EINTR || time.Now().After(deadline) || ctx.Err() != nil {
			break
		}
		time.Sleep(lockPatience / 100)
	}
	if err == unix.EWOULDBLOCK {
		err = ErrLocked
	}
	if err != nil {
		f.Close()
		return nil, &os.PathError{Op: "lock", Path: dir, Err: err}
	}
	return f, nil
}
