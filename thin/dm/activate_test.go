package dm_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"thintree/thin/dm"
)

func TestActivateLeavesNothingIfAStepFails(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		command uint
	}{
		{"create", unix.DM_DEV_CREATE},
		{"load", unix.DM_TABLE_LOAD},
		{"resume", unix.DM_DEV_SUSPEND},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			k, c := fake(t)
			fail := func(command uint, _ string) error {
				if command == test.command {
					return unix.EIO
				}
				return nil
			}
			k.Fail(fail)
			if _, err := c.Activate(t.Context(), dm.Spec{Name: "a", Table: oneError}); !errors.Is(err, unix.EIO) {
				t.Errorf("error %v", err)
			}
			if got := k.Devices(); got != nil {
				t.Errorf("left: %q", got)
			}
		})
		t.Run(test.name+" is canceled", func(t *testing.T) {
			t.Parallel()
			k, c := fake(t)
			ctx, cancel := context.WithCancel(t.Context())
			k.FailAfter(func(command uint, _ string) error {
				if command == test.command {
					cancel()
				}
				return nil
			})
			_, err := c.Activate(ctx, dm.Spec{Name: "a", Table: oneError})
			if done := test.command == unix.DM_DEV_SUSPEND; done != (err == nil) || !done && !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			if got := k.Devices(); (got != nil) != (err == nil) {
				t.Errorf("devices %q, error %v", got, err)
			}
		})
	}
}

func TestActivateKeepsADeviceThatExists(t *testing.T) {
	t.Parallel()
	k, c := fake(t)
	activate(t, c, oneError, "a")
	if _, err := c.Activate(t.Context(), dm.Spec{Name: "a", Table: oneError}); !errors.Is(err, dm.ErrExists) {
		t.Errorf("error %v", err)
	}
	if got := k.Devices(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("devices %q", got)
	}
}

func TestFailedActivateRemovesADeviceThatAScannerHasOpen(t *testing.T) {
	t.Parallel()
	k, c := fake(t)
	k.FailAfter(func(command uint, name string) error {
		if command == unix.DM_DEV_SUSPEND {
			if err := k.Open(name); err != nil { // a scanner, at the first event
				t.Error(err)
			}
			return unix.EIO
		}
		return nil
	})
	if _, err := c.Activate(t.Context(), dm.Spec{Name: "a", Table: oneError}); !errors.Is(err, unix.EIO) {
		t.Errorf("error %v", err)
	}
	if err := k.Close("a"); err != nil {
		t.Fatal(err)
	}
	if got := k.Devices(); got != nil {
		t.Errorf("left: %q", got)
	}
}

func TestDeactivateWaitsForTheLastOpener(t *testing.T) {
	t.Parallel()
	k, c := fake(t)
	activate(t, c, oneError, "a")
	if err := k.Open("a"); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	time.AfterFunc(30*time.Millisecond, func() { closed <- k.Close("a") })
	if err := c.Deactivate(t.Context(), "a", dm.Hidden); err != nil {
		t.Error(err)
	}
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	default:
		t.Error("the device was removed while it was open")
	}
	if err := c.Deactivate(t.Context(), "a", dm.Hidden); err != nil {
		t.Errorf("no such device: %v", err)
	}
}

func TestDeactivateGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	k, c := fake(t)
	activate(t, c, oneError, "a")
	if err := k.Open("a"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := c.Deactivate(ctx, "a", dm.Hidden); !errors.Is(err, dm.ErrInUse) {
		t.Errorf("error %v", err)
	}
	if err := k.Close("a"); err != nil {
		t.Fatal(err)
	}
	// There is one try, even if the context has ended.
	if err := c.Deactivate(ctx, "a", dm.Hidden); err != nil || k.Devices() != nil {
		t.Errorf("error %v, devices %q", err, k.Devices())
	}
}

func TestDeferredRemoval(t *testing.T) {
	t.Parallel()
	k, c := fake(t)
	activate(t, c, oneError, "a", "b")
	ctx := t.Context()
	for _, name := range []string{"a", "none"} {
		if gone, err := c.DeactivateLater(ctx, name, dm.Hidden); !gone || err != nil {
			t.Errorf("%s: gone %v, %v", name, gone, err)
		}
	}
	if err := k.Open("b"); err != nil {
		t.Fatal(err)
	}
	if gone, err := c.DeactivateLater(ctx, "b", dm.Hidden); gone || err != nil {
		t.Errorf("gone %v, %v", gone, err)
	}
	if info, err := c.Info(ctx, "b"); !info.DeferredRemoval || info.OpenCount != 1 || err != nil {
		t.Errorf("%+v, %v", info, err)
	}
	if err := c.CancelDeferred(ctx, "b"); err != nil {
		t.Error(err)
	}
	if info, err := c.Info(ctx, "b"); info.DeferredRemoval || err != nil {
		t.Errorf("%+v, %v", info, err)
	}
	if _, err := c.DeactivateLater(ctx, "b", dm.Hidden); err != nil {
		t.Error(err)
	}
	if err := k.Close("b"); err != nil || k.Devices() != nil {
		t.Errorf("error %v, devices %q", err, k.Devices())
	}
	if err := c.CancelDeferred(ctx, "b"); !errors.Is(err, dm.ErrNotFound) {
		t.Errorf("error %v", err)
	}
}
