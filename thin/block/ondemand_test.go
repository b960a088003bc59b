package block

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// isOpen reports whether this process has a file open.
func isOpen(t *testing.T, path string) bool {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(filepath.Join("/proc/self/fd", fd.Name())); err == nil && to == path {
			return true
		}
	}
	return false
}

// inBubble runs test with a file that is open on demand, and with a clock of its own.
func inBubble(t *testing.T, test func(t *testing.T, o *OnDemand)) {
	t.Helper()
	path, _ := writeFile(t, 4096)
	synctest.Test(t, func(t *testing.T) {
		o, err := OpenOnDemand(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		test(t, o)
		o.Close()
	})
}

func TestReadsAfterAYieldWaitEvenIfOthersGoOn(t *testing.T) {
	t.Parallel()
	const pause = 2 * time.Second
	inBubble(t, func(t *testing.T, o *OnDemand) {
		ctx := t.Context()
		end, ended := make(chan struct{}), make(chan error)
		go func() {
			ended <- o.with(ctx, func(f *File) error {
				<-end
				_, err := f.ReadAt(ctx, make([]byte, 10), 0)
				return err
			})
		}()
		synctest.Wait()
		began := time.Now()
		o.Yield(pause)
		read := make(chan time.Duration)
		go func() {
			if _, err := o.ReadAt(ctx, make([]byte, 10), 0); err != nil {
				t.Error(err)
			}
			read <- time.Since(began)
		}()
		synctest.Wait()
		if !isOpen(t, o.path) {
			t.Error("the file was closed under a read")
		}
		close(end)
		if err := <-ended; err != nil {
			t.Errorf("the read under way: %v", err)
		}
		synctest.Wait()
		if isOpen(t, o.path) {
			t.Error("the file is open after the read that was under way")
		}
		if waited := <-read; waited < pause {
			t.Errorf("the read after the Yield waited %v, want %v", waited, pause)
		}
	})
}

func TestFileThatNobodyWaitsForAnyMoreIsClosedOnceItIsOpen(t *testing.T) {
	t.Parallel()
	const pause = time.Second
	inBubble(t, func(t *testing.T, o *OnDemand) {
		o.Yield(pause)
		ctx, cancel := context.WithTimeout(t.Context(), pause/2)
		defer cancel()
		if _, err := o.ReadAt(ctx, make([]byte, 10), 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the context's error", err)
		}
		time.Sleep(pause)
		synctest.Wait()
		if isOpen(t, o.path) {
			t.Error("the file is open")
		}
		if _, err := o.ReadAt(t.Context(), make([]byte, 10), 0); err != nil {
			t.Errorf("the next read: %v", err)
		}
	})
}
