package dm_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"thintree/thin/dm"
	"thintree/thin/dm/dmtest"
)

// fake returns a fake device-mapper and a client of it. The test fails if the client
// violates the kernel's rules.
func fake(t *testing.T) (*dmtest.Kernel, *dm.Client) {
	t.Helper()
	k := dmtest.New()
	c, err := dm.New(k.Control)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if v := k.Violations(); v != nil {
			t.Errorf("violations: %q", v)
		}
	})
	return k, c
}

var oneError = []dm.Target{{Length: 8, Type: "error"}}

// activate activates devices that have the same table.
func activate(t *testing.T, c *dm.Client, table []dm.Target, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := c.Activate(t.Context(), dm.Spec{Name: name, Table: table, Udev: dm.Hidden}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestListGrowsWithItsAnswer(t *testing.T) {
	t.Parallel()
	_, c := fake(t)
	const devices = 2000
	var want []dm.Listed
	for i := range devices {
		info, err := c.Create(t.Context(), fmt.Sprintf("device-with-a-name-that-is-not-short-%04d", i), "")
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, dm.Listed{Name: info.Name, Number: info.Number})
	}
	got, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTableAndDepsGrowWithTheirAnswers(t *testing.T) {
	t.Parallel()
	_, c := fake(t)
	for _, targets := range []int{1, 255, 256, 257, 2500} {
		t.Run(fmt.Sprint(targets), func(t *testing.T) {
			var table []dm.Target
			var deps []uint64
			for i := range targets {
				table = append(table, dm.Target{Start: uint64(8 * i), Length: 8, Type: "linear", Params: fmt.Sprintf("7:%d %d", i, 8*i)})
				deps = append(deps, unix.Mkdev(7, uint32(i)))
			}
			slices.Reverse(deps)
			name := fmt.Sprint("a", targets)
			activate(t, c, table, name)
			info, got, err := c.Table(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(table, got); diff != "" || info.Targets != targets {
				t.Errorf("%d targets: %s", info.Targets, diff)
			}
			gotDeps, err := c.Deps(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(deps, gotDeps); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// fullControl says of every answer that the buffer is too small.
type fullControl struct{ most atomic.Uint32 }

func (c *fullControl) Ioctl(_ uint, buf []byte) error {
	c.most.Store(max(c.most.Load(), uint32(len(buf))))
	(*unix.DmIoctl)(unsafe.Pointer(&buf[0])).Flags |= unix.DM_BUFFER_FULL_FLAG
	return nil
}

func (c *fullControl) Wait(context.Context) error { return nil }

func (c *fullControl) Close() error { return nil }

func TestAnswerThatNeverFitsIsAnError(t *testing.T) {
	t.Parallel()
	control := &fullControl{}
	c, err := dm.New(func() (dm.Control, error) { return control, nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.List(t.Context()); !errors.Is(err, unix.EMSGSIZE) {
		t.Errorf("error %v", err)
	}
	if most := control.most.Load(); most < 1<<20 || most > 32<<20 {
		t.Errorf("the largest buffer had %d bytes", most)
	}
}

func TestInterruptedCommandIsRunAgain(t *testing.T) {
	t.Parallel()
	k, c := fake(t)
	var n atomic.Int32
	k.Fail(func(uint, string) error {
		if n.Add(1)%3 != 0 {
			return unix.EINTR
		}
		return nil
	})
	activate(t, c, oneError, "a")
	if _, targets, err := c.Table(t.Context(), "a"); err != nil || !cmp.Equal(targets, oneError) {
		t.Errorf("table %v, %v", targets, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	k.Fail(func(uint, string) error {
		cancel()
		return unix.EINTR
	})
	if err := c.Suspend(ctx, "a", dm.SuspendOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestNamesAndTextsThatTheKernelWouldTruncateAreRefused(t *testing.T) {
	t.Parallel()
	k, c := fake(t)
	activate(t, c, oneError, "a")
	ctx := t.Context()
	long := strings.Repeat("x", dm.MaxNameBytes+1)
	var bad *dm.NameError
	for name, err := range map[string]error{
		"remove":    second(c.Remove(ctx, "a\x00b", false, dm.Hidden)),
		"info":      second(c.Info(ctx, "a\x00")),
		"long":      second(c.Info(ctx, long)),
		"create":    second(c.Create(ctx, "a/b", "")),
		"uuid":      second(c.Create(ctx, "b", "a b")),
		"long uuid": second(c.Create(ctx, "b", long)),
		"rename":    c.Rename(ctx, "a", "b c", dm.Hidden),
	} {
		if !errors.As(err, &bad) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"message": third(c.Message(ctx, "a", 0, "delete 1\x000")),
		"type":    c.Load(ctx, "a", []dm.Target{{Length: 8, Type: "error\x00"}}, false),
		"params":  c.Load(ctx, "a", []dm.Target{{Length: 8, Type: "linear", Params: "7:0 1\x000"}}, false),
		"long":    c.Load(ctx, "a", []dm.Target{{Length: 8, Type: "a-type-of-17-byte"}}, false),
	} {
		if !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if got := k.Devices(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("devices %q", got)
	}
}

func second[T any](_ T, err error) error        { return err }
func third[T, U any](_ T, _ U, err error) error { return err }

func TestMessageToADeviceWithoutATableIsAnError(t *testing.T) {
	t.Parallel()
	_, c := fake(t)
	if _, err := c.Create(t.Context(), "a", ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Message(t.Context(), "a", 0, "create_thin 0"); !errors.Is(err, unix.EINVAL) {
		t.Errorf("error %v", err)
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	_, c := fake(t)
	v, err := c.Version(t.Context())
	if err != nil || v.String() != "4.47.0" {
		t.Errorf("version %v, %v", v, err)
	}
	got, err := c.TargetVersions(t.Context())
	want := []dm.TargetVersion{
		{Type: "error", Version: dm.Version{Major: 1, Minor: 5}},
		{Type: "linear", Version: dm.Version{Major: 1, Minor: 4}},
		{Type: "snapshot", Version: dm.Version{Major: 1, Minor: 16}},
		{Type: "thin", Version: dm.Version{Major: 1, Minor: 22}},
		{Type: "thin-pool", Version: dm.Version{Major: 1, Minor: 22}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}
