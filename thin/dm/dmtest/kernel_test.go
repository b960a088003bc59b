package dmtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/thin/dm"
)

var metadataNumber = unix.Mkdev(7, 0)

const poolTable = "7:0 7:1 128 0"

// activate activates a device of one target.
func activate(t *testing.T, c *dm.Client, name, kind, params string) dm.Info {
	t.Helper()
	info, err := c.Activate(t.Context(), dm.Spec{Name: name, Table: []dm.Target{{Length: 1 << 20, Type: kind, Params: params}}})
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// send sends messages that the pool must accept.
func send(t *testing.T, c *dm.Client, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if _, _, err := c.Message(t.Context(), "pool", 0, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

func thinOf(pool dm.Info, id int) string {
	return fmt.Sprintf("%d:%d %d", unix.Major(pool.Number), unix.Minor(pool.Number), id)
}

func TestModesOfAPool(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		mode   Mode
		status string // part of the status
		err    error  // the error of a message
		again  string // part of the status after the pool was deactivated and activated
	}{
		{ReadOnly, " ro ", unix.EOPNOTSUPP, " rw "},
		{OutOfDataSpace, " out_of_data_space ", nil, " rw "},
		{Failed, "Fail", unix.EOPNOTSUPP, " rw "},
		{NeedsCheck, " needs_check ", unix.EOPNOTSUPP, " ro discard_passdown queue_if_no_space needs_check "},
	} {
		t.Run(string(test.mode), func(t *testing.T) {
			t.Parallel()
			k := New()
			c := client(t, k)
			pool := activate(t, c, "pool", "thin-pool", poolTable)
			send(t, c, "create_thin 1", "set_transaction_id 0 7")
			activate(t, c, "a", "thin", thinOf(pool, 1))
			for _, err := range []error{k.Write("a", 0, 3), k.SetMode("pool", test.mode)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			status := func() string {
				t.Helper()
				_, targets, err := c.Status(t.Context(), "pool")
				if err != nil {
					t.Fatal(err)
				}
				return targets[0].Params
			}
			if s := status(); !strings.Contains(s, test.status) {
				t.Errorf("status %q", s)
			}
			if info, err := c.Info(t.Context(), "pool"); info.EventNr != 1 || err != nil {
				t.Errorf("event %d, %v", info.EventNr, err)
			}
			if _, _, err := c.Message(t.Context(), "pool", 0, "set_transaction_id 7 8"); !errors.Is(err, test.err) {
				t.Errorf("error %v", err)
			}
			for _, name := range []string{"a", "pool"} {
				if err := c.Deactivate(t.Context(), name, dm.Hidden); err != nil {
					t.Fatal(err)
				}
			}
			activate(t, c, "pool", "thin-pool", poolTable)
			if s := status(); !strings.Contains(s, test.again) {
				t.Errorf("status %q", s)
			}
			if s, ok := k.Pool(metadataNumber); !ok || s.IDs[1] != 3 || s.UsedBlocks != 3 {
				t.Errorf("%+v, %v", s, ok)
			}
		})
	}
}

func TestSnapshotOfAnOriginInUseIsAViolation(t *testing.T) {
	t.Parallel()
	k := New()
	c := client(t, k)
	pool := activate(t, c, "pool", "thin-pool", poolTable)
	send(t, c, "create_thin 1", "create_snap 2 1")
	activate(t, c, "a", "thin", thinOf(pool, 1))
	if err := c.Suspend(t.Context(), "a", dm.SuspendOptions{}); err != nil {
		t.Fatal(err)
	}
	send(t, c, "create_snap 3 1")
	if f := k.Frozen(); !slices.Equal(f, []string{"a"}) {
		t.Errorf("suspended: %q", f)
	}
	if v := k.Violations(); v != nil {
		t.Errorf("violations %q", v)
	}
	if _, err := c.Resume(t.Context(), "a", dm.Unchanged); err != nil {
		t.Fatal(err)
	}
	send(t, c, "create_snap 4 1")
	if v := k.Violations(); len(v) != 1 || !strings.Contains(v[0], "create_snap of 1") {
		t.Errorf("violations %q", v)
	}
}

func TestFaultsBeforeAndAfterTheEffect(t *testing.T) {
	t.Parallel()
	fail := func(_ uint, name string) error {
		if name == "a" {
			return unix.ENOMEM
		}
		return nil
	}
	for _, after := range []bool{false, true} {
		k := New()
		c := client(t, k)
		if after {
			k.FailAfter(fail)
		} else {
			k.Fail(fail)
		}
		for name, want := range map[string]error{"a": unix.ENOMEM, "b": nil} {
			if _, err := c.Create(t.Context(), name, ""); !errors.Is(err, want) {
				t.Errorf("%s: error %v", name, err)
			}
		}
		if got := slices.Contains(k.Devices(), "a"); got != after {
			t.Errorf("after %v: the device exists: %v", after, got)
		}
	}
}

// TestManyAtOnce is for the race detector.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	k := New()
	c := client(t, k)
	pool := activate(t, c, "pool", "thin-pool", poolTable)
	const workers, rounds = 8, 40
	var ids atomic.Uint32
	one := func() error {
		id := int(ids.Add(2))
		name := fmt.Sprint("thin-", id)
		ctx := t.Context()
		if _, _, err := c.Message(ctx, "pool", 0, fmt.Sprintf("create_thin %d", id)); err != nil {
			return err
		}
		spec := dm.Spec{Name: name, Table: []dm.Target{{Length: 1024, Type: "thin", Params: thinOf(pool, id)}}}
		if _, err := c.Activate(ctx, spec); err != nil {
			return err
		}
		if err := errors.Join(k.Open(name), k.Write(name, 0, 2)); err != nil {
			return err
		}
		if err := c.Suspend(ctx, name, dm.SuspendOptions{}); err != nil {
			return err
		}
		_, _, snapErr := c.Message(ctx, "pool", 0, fmt.Sprintf("create_snap %d %d", id+1, id))
		if _, err := c.Resume(ctx, name, dm.Unchanged); err != nil || snapErr != nil {
			return errors.Join(err, snapErr)
		}
		if _, err := c.List(ctx); err != nil {
			return err
		}
		if gone, err := c.DeactivateLater(ctx, name, dm.Hidden); gone || err != nil {
			return fmt.Errorf("gone %v, %v", gone, err)
		}
		if err := k.Close(name); err != nil {
			return err
		}
		for i := range 2 {
			if _, _, err := c.Message(ctx, "pool", 0, fmt.Sprintf("delete %d", id+i)); err != nil {
				return err
			}
		}
		return nil
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range rounds {
				if err := one(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := k.Devices(); !slices.Equal(got, []string{"pool"}) {
		t.Errorf("devices %q", got)
	}
	if s, _ := k.Pool(metadataNumber); len(s.IDs) != 0 || s.UsedBlocks != 0 {
		t.Errorf("%+v", s)
	}
	if v := k.Violations(); v != nil {
		t.Errorf("violations %q", v)
	}
}

func BenchmarkActivateAndDeactivate(b *testing.B) {
	k := New()
	c, err := dm.New(k.Control)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for b.Loop() {
		if _, err := c.Activate(b.Context(), dm.Spec{Name: "a", Table: []dm.Target{{Length: 8, Type: "error"}}}); err != nil {
			b.Fatal(err)
		}
		if err := c.Deactivate(b.Context(), "a", dm.Hidden); err != nil {
			b.Fatal(err)
		}
	}
}
