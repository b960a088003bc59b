package dm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// lower does what dmsetup udevcomplete does, which needs device-mapper.
func lower(eventNr uint32) error {
	id, _, errno := unix.Syscall(unix.SYS_SEMGET, uintptr(semaphoreKey(eventNr)), 1, 0)
	if errno != 0 {
		return errno
	}
	down := struct {
		num     uint16
		op, flg int16
	}{op: -1}
	if _, _, errno = unix.Syscall(unix.SYS_SEMOP, id, uintptr(unsafe.Pointer(&down)), 1); errno != 0 {
		return errno
	}
	return nil
}

func semaphoreKey(eventNr uint32) uint32 { return cookieMagic<<16 | eventNr&0xffff }

// left reports whether the semaphore of a cookie exists.
func left(t *testing.T, eventNr uint32) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/sysvipc/sem")
	if err != nil {
		t.Skipf("needs System V semaphores: %v", err)
	}
	key := fmt.Sprintf("%d", int32(semaphoreKey(eventNr)))
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 0 && words[0] == key {
			return true
		}
	}
	return false
}

// fakeUdev answers each command. It passes a generated event to event, as the kernel passes
// it to udev.
type fakeUdev struct {
	event     func(eventNr uint32)
	generated bool
	err       error
	eventNr   uint32 // of the last command
}

func (u *fakeUdev) Ioctl(_ uint, buf []byte) error {
	h := (*unix.DmIoctl)(unsafe.Pointer(&buf[0]))
	u.eventNr = h.Event_nr
	if u.generated && u.err == nil {
		h.Flags |= unix.DM_UEVENT_GENERATED_FLAG
		if u.event != nil {
			u.event(h.Event_nr)
		}
	}
	return u.err
}

func (u *fakeUdev) Wait(context.Context) error { return nil }
func (u *fakeUdev) Close() error               { return nil }

// udevClient is a client of a host with a running udev.
func udevClient(t *testing.T, control Control, patience time.Duration) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "control")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &Client{control: control, udev: &udevd{socket: socket, patience: patience}}
}

func TestPublicWaitsForUdev(t *testing.T) {
	t.Parallel()
	const delay = 50 * time.Millisecond
	failed := make(chan error, 1)
	u := &fakeUdev{generated: true, event: func(eventNr uint32) {
		go func() {
			time.Sleep(delay)
			failed <- lower(eventNr)
		}()
	}}
	c := udevClient(t, u, time.Minute)
	before := time.Now()
	if _, err := c.Resume(t.Context(), "a", Public); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(before); took < delay {
		t.Errorf("returned after %v, before udev was done", took)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if c.udev.deaf.Load() {
		t.Error("udev counts as deaf, but it answered")
	}
	if u.eventNr>>16 != primarySource || u.eventNr&0xffff == 0 {
		t.Errorf("event_nr is %#x", u.eventNr)
	}
	if left(t, u.eventNr) {
		t.Error("the semaphore is left")
	}
}

func TestNoSemaphoreIsLeftOfACookie(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		udev     *fakeUdev
		patience time.Duration
		canceled bool
		deaf     bool
	}{
		{"udev does not answer", &fakeUdev{generated: true}, 30 * time.Millisecond, false, true},
		{"the caller cancels the wait", &fakeUdev{generated: true}, time.Minute, true, false},
		{"the command fails", &fakeUdev{err: unix.EBUSY}, time.Minute, false, false},
		{"there is no event", &fakeUdev{}, time.Minute, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if test.canceled {
				test.udev.event = func(uint32) { time.AfterFunc(30*time.Millisecond, cancel) }
			}
			c := udevClient(t, test.udev, test.patience)
			if _, err := c.Resume(ctx, "a", Public); !errors.Is(err, test.udev.err) {
				t.Errorf("error %v", err)
			}
			if test.udev.eventNr&0xffff == 0 {
				t.Fatal("there was no cookie")
			}
			if left(t, test.udev.eventNr) {
				t.Error("the semaphore is left")
			}
			if c.udev.deaf.Load() != test.deaf {
				t.Errorf("udev counts as deaf is %v", !test.deaf)
			}
		})
	}
}

func TestDeafUdevIsWaitedForOnce(t *testing.T) {
	t.Parallel()
	u := &fakeUdev{generated: true}
	c := udevClient(t, u, time.Millisecond)
	for i, cookie := range []bool{true, false} {
		if _, err := c.Resume(t.Context(), "a", Public); err != nil {
			t.Fatal(err)
		}
		if got := u.eventNr&0xffff != 0; got != cookie {
			t.Errorf("command %d has a cookie: %v", i, got)
		}
	}
}

func TestEventNumberSaysWhatUdevShouldDo(t *testing.T) {
	t.Parallel()
	for u, want := range map[Udev]uint32{
		Unchanged: 0,
		Hidden:    0x4e0000, // subsystem, disk and other rules off; primary source
		Public:    0x400000,
	} {
		f := &fakeUdev{}
		c := &Client{control: f} // no udev runs: no cookie
		if _, err := c.Resume(t.Context(), "a", u); err != nil {
			t.Fatal(err)
		}
		if f.eventNr != want {
			t.Errorf("%d: event_nr is %#x, not %#x", u, f.eventNr, want)
		}
	}
}
