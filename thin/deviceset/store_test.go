package deviceset

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"thintree/meta/record"
	"thintree/thin"
	"thintree/thin/dm"
	"thintree/thin/dm/dmtest"
)

func TestErrorsHaveTheirTypes(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	s := f.mustOpen(t)
	ctx := t.Context()
	if err := s.AddDevice(ctx, "a", "", 0); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"exists":      s.AddDevice(ctx, "a", "", 0),
		"base exists": s.AddDevice(ctx, "", "a", 0),
	} {
		if _, ok := errors.AsType[*ExistsError](err); !ok || !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, err := range map[string]error{
		"no base": s.AddDevice(ctx, "b", "nothing", 0),
		"mount":   s.MountDevice(ctx, "nothing", t.TempDir(), ""),
		"unmount": s.UnmountDevice(ctx, "nothing", t.TempDir()),
		"delete":  s.DeleteDevice(ctx, "nothing"),
		"suspend": s.SuspendDevice(ctx, "nothing"),
		"resume":  s.ResumeDevice(ctx, "nothing"),
	} {
		if _, ok := errors.AsType[*NoDeviceError](err); !ok || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, name := range []string{"pool", "a/b", "a b", ".a", "base", strings.Repeat("x", 120)} {
		err := s.AddDevice(ctx, name, "", 0)
		_, record := errors.AsType[*record.NameError](err)
		_, device := errors.AsType[*dm.NameError](err)
		if !record && !device {
			t.Errorf("%.20q: %v", name, err)
		}
	}
	for _, bytes := range []int64{1, 512, 64<<20 - 512, -512} {
		if err := s.AddDevice(ctx, "b", "a", bytes); err == nil {
			t.Errorf("a device of %d bytes was made", bytes)
		}
	}
	if err := s.DeleteDevice(ctx, ""); err == nil {
		t.Error("the base device was deleted")
	}
	if err := s.MountDevice(ctx, "a", filepath.Join(t.TempDir(), "missing"), ""); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if got := s.List(); !slices.Equal(got, []string{"", "a"}) {
		t.Errorf("%q", got)
	}
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := f.recovers(ctx); err != nil {
		t.Error(err)
	}
}

func TestStoreIsLocked(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	s := f.mustOpen(t)
	if _, err := f.open(t.Context(), false); !errors.Is(err, ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.mustOpen(t).Close(t.Context())
}

func TestTooLittleSpace(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	s := f.mustOpen(t, "dm.min_free_space=99%")
	defer s.Shutdown(t.Context())
	err := s.AddDevice(t.Context(), "a", "", 0)
	if _, ok := errors.AsType[*SpaceError](err); !ok || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error: %v", err)
	}
}

// A store whose pool cannot be changed can be inspected, unmounted and shut down.
func TestStoreInAPoolThatFailed(t *testing.T) {
	t.Parallel()
	for _, mode := range []dmtest.Mode{dmtest.ReadOnly, dmtest.NeedsCheck, dmtest.OutOfDataSpace, dmtest.Failed} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			f := newFake(t)
			s := f.mustOpen(t)
			dir := t.TempDir()
			if err := errors.Join(
				s.AddDevice(ctx, "a", "", 0), s.MountDevice(ctx, "a", dir, ""), s.Close(ctx),
				f.SetMode(fakePool, mode),
			); err != nil {
				t.Fatal(err)
			}
			s, err := f.open(ctx, true)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.List(); !slices.Equal(got, []string{"", "a"}) {
				t.Errorf("%q", got)
			}
			if st, err := s.Status(ctx); err != nil || st.Devices != 2 {
				t.Errorf("%+v, %v", st, err)
			}
			if mode != dmtest.OutOfDataSpace {
				for what, err := range map[string]error{"add": s.AddDevice(ctx, "b", "a", 0), "delete": s.DeleteDevice(ctx, "a")} {
					if _, ok := errors.AsType[*thin.PoolModeError](err); !ok {
						t.Errorf("%s: %v", what, err)
					}
				}
			}
			if err := s.UnmountDevice(ctx, "a", dir); err != nil {
				t.Error(err)
			}
			if err := s.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			if left := f.Devices(); !slices.Equal(left, []string{fakePool}) {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func TestDeviceSuspendedByTheUserStaysSuspended(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f := newFake(t)
	s := f.mustOpen(t)
	dir := t.TempDir()
	if err := errors.Join(s.AddDevice(ctx, "a", "", 0), s.MountDevice(ctx, "a", dir, ""), s.SuspendDevice(ctx, "a"), s.Close(ctx)); err != nil {
		t.Fatal(err)
	}
	s = f.mustOpen(t)
	if st, err := s.DeviceStatus(ctx, "a"); err != nil || !st.Suspended {
		t.Errorf("%+v, %v", st, err)
	}
	if err := s.MountDevice(ctx, "a", t.TempDir(), ""); !errors.Is(err, ErrSuspended) {
		t.Errorf("mount: %v", err)
	}
	if err := errors.Join(s.ResumeDevice(ctx, "a"), s.Shutdown(ctx)); err != nil {
		t.Error(err)
	}
}

func TestCallsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	s := f.mustOpen(t)
	defer s.Shutdown(t.Context())
	d, err := s.find(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer d.lock.release()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.AddDevice(ctx, "a", "", 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error: %v", err)
	}
	if _, err := s.Status(t.Context()); err != nil { // it does not wait for a device's lock
		t.Error(err)
	}
}
