package thin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/thin/dm"
	"thintree/thin/dm/dmtest"
	"thintree/thin/pdata"
)

const fakeSectors = 1024 * 128

// fakePool is an active pool of a fake device-mapper, and its guard.
func fakePool(t *testing.T) (*dmtest.Kernel, *Pool, *notes) {
	t.Helper()
	fake := dmtest.New()
	client, err := dm.New(fake.Control)
	if err != nil {
		t.Fatal(err)
	}
	k := NewKernel(client)
	guard := &notes{}
	k.guard = guard
	t.Cleanup(func() {
		k.Close()
		if v := fake.Violations(); len(v) > 0 {
			t.Errorf("the kernel would refuse: %q", v)
		}
		if f := fake.Frozen(); len(f) > 0 {
			t.Errorf("left suspended: %q", f)
		}
	})
	table := poolTable{sectors: fakeSectors, metadata: unix.Mkdev(7, 0), data: unix.Mkdev(7, 1), blockSectors: 128}
	if _, err := client.Activate(t.Context(), dm.Spec{Name: "pool", Table: []dm.Target{table.target()}, Udev: dm.Hidden}); err != nil {
		t.Fatal(err)
	}
	p, err := k.OpenPool(t.Context(), "pool")
	if err != nil {
		t.Fatal(err)
	}
	return fake, p, guard
}

// notes is a guard that only records what it holds.
type notes struct {
	mu   sync.Mutex
	held []string
	all  int
	fail error
}

func (n *notes) Hold(name string) (func(), error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail != nil {
		return nil, n.fail
	}
	n.held = append(n.held, name)
	n.all++
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.held = slices.Delete(n.held, slices.Index(n.held, name), slices.Index(n.held, name)+1)
	}, nil
}

func (n *notes) HoldDevice(pool string, id uint32) (func(), error) {
	return n.Hold(fmt.Sprintf("%s %d", pool, id))
}

func (*notes) Close() error { return nil }

// active creates devices and activates them.
func active(t *testing.T, p *Pool, ids ...uint32) {
	t.Helper()
	for _, id := range ids {
		if err := p.CreateDevice(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if _, err := p.ActivateDevice(t.Context(), Activation{Name: fmt.Sprint("volume-", id), ID: id, SizeBytes: 1 << 20}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOriginIsGuardedSuspendedAndResumed(t *testing.T) {
	t.Parallel()
	fake, p, guard := fakePool(t)
	active(t, p, 1, 2)
	if _, err := p.ActivateDevice(t.Context(), Activation{Name: "twice", ID: 1, SizeBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	var seen [][]string // what is suspended before each command
	fake.Fail(func(command uint, name string) error {
		f := fake.Frozen()
		if len(f) > 0 && len(guard.held) < len(f) {
			t.Errorf("%q is suspended, and the guard holds %q", f, guard.held)
		}
		if command == unix.DM_TARGET_MSG {
			seen = append(seen, f)
		}
		return nil
	})
	if err := p.CreateSnapDevice(t.Context(), 3, 1); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 1 || !slices.Equal(seen[0], []string{"twice", "volume-1"}) {
		t.Errorf("suspended at the snapshot: %q", seen)
	}
	if err := p.CreateSnapDevice(t.Context(), 4, 3); err != nil {
		t.Fatal(err)
	}
	if guard.all != 2 || len(guard.held) != 0 {
		t.Errorf("%d were held, %q still is", guard.all, guard.held)
	}
}

func TestOriginIsResumedWhateverFails(t *testing.T) {
	t.Parallel()
	fault := unix.EIO
	for name, test := range map[string]struct {
		after bool // the command fails after it has had its effect
		fails func(command uint, flags bool) bool
	}{
		"suspend":       {false, func(command uint, resumes bool) bool { return command == unix.DM_DEV_SUSPEND && !resumes }},
		"suspend, late": {true, func(command uint, resumes bool) bool { return command == unix.DM_DEV_SUSPEND && !resumes }},
		"snapshot":      {false, func(command uint, _ bool) bool { return command == unix.DM_TARGET_MSG }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, p, guard := fakePool(t)
			active(t, p, 1)
			suspends := 0
			fail := func(command uint, _ string) error {
				resumes := false
				if command == unix.DM_DEV_SUSPEND {
					suspends++
					resumes = suspends > 1
				}
				if test.fails(command, resumes) {
					return fault
				}
				return nil
			}
			if test.after {
				fake.FailAfter(fail)
			} else {
				fake.Fail(fail)
			}
			if err := p.CreateSnapDevice(t.Context(), 2, 1); !errors.Is(err, fault) {
				t.Errorf("%v", err)
			}
			if suspends != 2 {
				t.Errorf("%d suspends and resumes", suspends)
			}
			if len(guard.held) > 0 {
				t.Errorf("the guard still holds %q", guard.held)
			}
		})
	}
}

func TestOriginIsNotSuspendedWithoutAGuard(t *testing.T) {
	t.Parallel()
	_, p, guard := fakePool(t)
	active(t, p, 1)
	guard.fail = errors.New("no process can be started")
	if err := p.CreateSnapDevice(t.Context(), 2, 1); !errors.Is(err, guard.fail) {
		t.Error(err)
	}
	if err := p.CreateDevice(t.Context(), 2); err != nil {
		t.Errorf("the snapshot was made: %v", err)
	}
}

func TestErrnoOfAMessageIsExplained(t *testing.T) {
	t.Parallel()
	other := unix.ENOMEM
	var none *pdata.NoDeviceError
	for name, test := range map[string]struct {
		do    func(ctx context.Context, p *Pool) error
		errno unix.Errno
		want  error
		as    any
	}{
		"create, EEXIST":        {func(ctx context.Context, p *Pool) error { return p.CreateDevice(ctx, 1) }, unix.EEXIST, ErrIDInUse, nil},
		"create, ENOSPC":        {func(ctx context.Context, p *Pool) error { return p.CreateDevice(ctx, 1) }, unix.ENOSPC, ErrOutOfMetadata, nil},
		"create, ENOMEM":        {func(ctx context.Context, p *Pool) error { return p.CreateDevice(ctx, 1) }, other, other, nil},
		"create, EINVAL":        {func(ctx context.Context, p *Pool) error { return p.CreateDevice(ctx, 1) }, unix.EINVAL, unix.EINVAL, nil},
		"snapshot, EEXIST":      {func(ctx context.Context, p *Pool) error { return p.CreateSnapDevice(ctx, 2, 1) }, unix.EEXIST, ErrIDInUse, nil},
		"snapshot, ENODATA":     {func(ctx context.Context, p *Pool) error { return p.CreateSnapDevice(ctx, 2, 1) }, unix.ENODATA, nil, &none},
		"delete, EBUSY":         {func(ctx context.Context, p *Pool) error { return p.DeleteDevice(ctx, 1) }, unix.EBUSY, ErrActive, nil},
		"delete, ENODATA":       {func(ctx context.Context, p *Pool) error { return p.DeleteDevice(ctx, 1) }, unix.ENODATA, nil, &none},
		"reserve, EBUSY":        {func(ctx context.Context, p *Pool) error { return p.ReserveMetadataSnapshot(ctx) }, unix.EBUSY, ErrHeld, nil},
		"release, EINVAL":       {func(ctx context.Context, p *Pool) error { return p.ReleaseMetadataSnapshot(ctx) }, unix.EINVAL, ErrNotHeld, nil},
		"transaction, EINVAL":   {func(ctx context.Context, p *Pool) error { return p.SetTransactionID(ctx, 0, 1) }, unix.EINVAL, ErrTransactionID, nil},
		"delete, the pool gone": {func(ctx context.Context, p *Pool) error { return p.DeleteDevice(ctx, 1) }, unix.ENXIO, unix.ENXIO, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, p, _ := fakePool(t)
			fake.Fail(func(command uint, _ string) error {
				if command == unix.DM_TARGET_MSG {
					return test.errno
				}
				return nil
			})
			err := test.do(t.Context(), p)
			if test.want != nil && !errors.Is(err, test.want) || test.as != nil && !errors.As(err, test.as) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestModeOfThePoolExplainsAnError(t *testing.T) {
	t.Parallel()
	for mode, want := range map[dmtest.Mode]PoolModeError{
		dmtest.ReadOnly:   {"pool", ModeReadOnly, false},
		dmtest.NeedsCheck: {"pool", ModeReadOnly, true},
		dmtest.Failed:     {"pool", ModeFailed, false},
	} {
		fake, p, _ := fakePool(t)
		active(t, p, 1)
		if err := fake.SetMode("pool", mode); err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"create":      p.CreateDevice(t.Context(), 2),
			"snapshot":    p.CreateSnapDevice(t.Context(), 2, 1),
			"delete":      p.DeleteDevice(t.Context(), 1),
			"transaction": p.SetTransactionID(t.Context(), 0, 1),
		} {
			var got *PoolModeError
			if !errors.As(err, &got) || *got != want {
				t.Errorf("%s in a pool in the mode %q: %v", what, mode, err)
			}
		}
	}
}

func TestChangeThatWasNotWrittenDownIsAnError(t *testing.T) {
	t.Parallel()
	fake, p, _ := fakePool(t)
	// The kernel accepts the message, and its commit fails afterwards.
	fake.FailAfter(func(command uint, _ string) error {
		if command == unix.DM_TARGET_MSG {
			return fake.SetMode("pool", dmtest.NeedsCheck)
		}
		return nil
	})
	var mode *PoolModeError
	if err := p.CreateDevice(t.Context(), 1); !errors.As(err, &mode) || !mode.NeedsCheck {
		t.Error(err)
	}
}

func TestConcurrentCallsSucceed(t *testing.T) {
	t.Parallel()
	fake, p, guard := fakePool(t)
	active(t, p, 1)
	var group sync.WaitGroup
	for i := range uint32(16) {
		group.Go(func() {
			check := func(what string, err error) {
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			id, ctx := 100+i, t.Context()
			for range 20 {
				check("snapshot", p.CreateSnapDevice(ctx, id, 1))
				// All activate the same device too.
				_, err := p.ActivateDevice(ctx, Activation{Name: "volume-1", ID: 1, SizeBytes: 1 << 20})
				check("activate again", err)
				a := Activation{Name: fmt.Sprint("volume-", id), ID: id, SizeBytes: 1 << 20}
				_, err = p.ActivateDevice(ctx, a)
				check("activate", err)
				_, err = p.kernel.RemoveDevice(ctx, a.Name, false, dm.Hidden)
				check("remove", err)
				check("delete", p.DeleteDevice(ctx, id))
			}
		})
	}
	group.Wait()
	if got := fake.Devices(); !slices.Equal(got, []string{"pool", "volume-1"}) {
		t.Errorf("%q", got)
	}
	if guard.all != 320 || len(guard.held) > 0 {
		t.Errorf("%d were held, %q still is", guard.all, guard.held)
	}
}

func TestDeviceWithoutATableIsReplaced(t *testing.T) {
	t.Parallel()
	_, p, _ := fakePool(t)
	if err := p.CreateDevice(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for uuid, want := range map[string]error{"OURS": nil, "THEIRS": dm.ErrExists} {
		if _, err := p.kernel.dm.Create(t.Context(), "volume", uuid); err != nil {
			t.Fatal(err)
		}
		_, err := p.ActivateDevice(t.Context(), Activation{Name: "volume", UUID: "OURS", ID: 1, SizeBytes: 1 << 20})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", uuid, err)
		}
		if err := p.kernel.dm.Deactivate(t.Context(), "volume", dm.Hidden); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPoolThatRefusesATableKeepsTheOldOne(t *testing.T) {
	t.Parallel()
	fake, p, _ := fakePool(t)
	active(t, p, 1)
	_, have, err := p.kernel.findPool(t.Context(), "pool")
	if err != nil {
		t.Fatal(err)
	}
	fake.SetDisk(have.data, fakeSectors)
	longer := have
	longer.sectors *= 2
	if err := p.reload(t.Context(), have, longer); !errors.Is(err, unix.EINVAL) {
		t.Error(err)
	}
	fake.SetDisk(have.data, 2*fakeSectors)
	if _, now, err := p.kernel.findPool(t.Context(), "pool"); err != nil || now != have {
		t.Errorf("%+v, %v", now, err)
	}
	if err := p.reload(t.Context(), have, longer); err != nil {
		t.Error(err)
	}
	if _, now, err := p.kernel.findPool(t.Context(), "pool"); err != nil || now != longer {
		t.Errorf("%+v, %v", now, err)
	}
}

func TestActiveDeviceThatDiffersIsRefused(t *testing.T) {
	t.Parallel()
	_, p, _ := fakePool(t)
	active(t, p, 1)
	same := Activation{Name: "volume-1", ID: 1, SizeBytes: 1 << 20}
	if _, err := p.ActivateDevice(t.Context(), same); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(a *Activation){
		"it is not read-only":               func(a *Activation) { a.ReadOnly = true },
		"it has 1048576 bytes, not 2097152": func(a *Activation) { a.SizeBytes *= 2 },
		"it is of device 1, not of 2":       func(a *Activation) { a.ID = 2 },
	} {
		a := same
		change(&a)
		_, err := p.ActivateDevice(t.Context(), a)
		differs, ok := errors.AsType[*DiffersError](err)
		if !ok || !slices.Equal(differs.Differs, []string{want}) || !errors.Is(err, dm.ErrExists) {
			t.Errorf("%+v: %v, want %q", a, err, want)
		}
	}
	readOnly := Activation{Name: "read-only", ID: 1, SizeBytes: 1 << 20, ReadOnly: true}
	if _, err := p.ActivateDevice(t.Context(), readOnly); err != nil {
		t.Fatal(err)
	}
	readOnly.ReadOnly = false
	_, err := p.ActivateDevice(t.Context(), readOnly)
	if differs, ok := errors.AsType[*DiffersError](err); !ok || !slices.Equal(differs.Differs, []string{"it is read-only"}) {
		t.Errorf("asked for as writable: %v", err)
	}
	_, err = p.ActivateDevice(t.Context(), Activation{Name: "pool", ID: 1, SizeBytes: 1 << 20})
	if !errors.Is(err, dm.ErrExists) || errors.As(err, new(*DiffersError)) {
		t.Errorf("not a thin device: %v", err)
	}
}

func TestDifferencesOfDevicesAreListed(t *testing.T) {
	t.Parallel()
	one := deviceTable{sectors: 8, pool: unix.Mkdev(253, 0), id: 1}
	other := deviceTable{sectors: 8, pool: unix.Mkdev(253, 1), id: 1, origin: unix.Mkdev(7, 0)}
	want := []string{"it is of pool 253:1, not of 253:0", "its origin is 7:0, not none"}
	if got := one.differences(other); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := one.differences(one); got != nil {
		t.Errorf("from itself: %q", got)
	}
}

func TestFailureToCancelADeferredRemovalIsAnError(t *testing.T) {
	t.Parallel()
	fake, p, _ := fakePool(t)
	active(t, p, 1)
	if err := fake.Open("volume-1"); err != nil {
		t.Fatal(err)
	}
	defer fake.Close("volume-1")
	if gone, err := p.kernel.RemoveDevice(t.Context(), "volume-1", true, dm.Hidden); gone || err != nil {
		t.Fatal(gone, err)
	}
	fake.Fail(func(command uint, name string) error {
		if command == unix.DM_TARGET_MSG && name == "volume-1" {
			return unix.EIO
		}
		return nil
	})
	if _, err := p.ActivateDevice(t.Context(), Activation{Name: "volume-1", ID: 1, SizeBytes: 1 << 20}); !errors.Is(err, unix.EIO) {
		t.Errorf("error: %v", err)
	}
	fake.Fail(nil)
	if _, err := p.ActivateDevice(t.Context(), Activation{Name: "volume-1", ID: 1, SizeBytes: 1 << 20}); err != nil {
		t.Error(err)
	}
}
