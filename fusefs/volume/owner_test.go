package volume

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"thintree/thin/block"
)

// suspendingKernel is a Kernel in which a device gets suspended.
type suspendingKernel struct {
	Kernel
	at time.Time // when it gets suspended
}

func (k *suspendingKernel) Suspended(context.Context, block.Location, uint32) (string, error) {
	if time.Now().Before(k.at) {
		return "", nil
	}
	return "vg-pool-tpool", nil
}

func TestWaitEndsWhenTheDeviceIsSuspended(t *testing.T) {
	t.Parallel()
	v := someVolume(t, 7).Volume
	for name, test := range map[string]struct {
		suspended   time.Duration // after the begin of the wait
		work, ended time.Duration // 0 if never
		took        time.Duration
		err         error
	}{
		"work that is done":                  {0, time.Second, 0, time.Second, nil},
		"long work, on a device that is not": {time.Hour, time.Minute, 0, time.Minute, nil},
		"the device was suspended before":    {0, 0, 0, 4 * time.Second, syscall.EIO},
		"the device is suspended meanwhile":  {9500 * time.Millisecond, 0, 0, 10 * time.Second, syscall.EIO},
		"the caller was killed":              {0, 0, 2 * time.Second, 2 * time.Second, syscall.EINTR},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				o := NewOpener(Options{Kernel: &suspendingKernel{at: begin.Add(test.suspended)}, OpenTimeout: 4 * time.Second})
				ctx, end := context.WithCancelCause(t.Context())
				defer end(nil)
				done := make(chan struct{})
				if test.work != 0 {
					time.AfterFunc(test.work, func() { close(done) })
				}
				if test.ended != 0 {
					time.AfterFunc(test.ended, func() { end(syscall.EINTR) })
				}
				if err := o.Await(ctx, v, done); !errors.Is(err, test.err) || time.Since(begin) != test.took {
					t.Errorf("%v after %v, not %v after %v", err, time.Since(begin), test.err, test.took)
				}
			})
		})
	}
}
