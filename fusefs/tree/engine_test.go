package tree

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"testing"

	"thintree/thin"
	"thintree/thin/lend"
)

// kernel is a kernel in which a pool is active or not, and its devices are used as
// a test says. It lends nothing.
type kernel struct {
	mu    sync.Mutex
	users map[uint32]lend.User // nil where the pool is not active
	err   error
}

func (k *kernel) Users(context.Context, string) (map[uint32]lend.User, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil || k.users == nil {
		return nil, errors.Join(k.err, thin.ErrNotActive)
	}
	return k.users, nil
}

func (*kernel) Watch(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return ctx.Err()
}

func (*kernel) Lend(context.Context, string, string, uint32, int64) (*os.File, func() error, error) {
	return nil, nil, syscall.EOPNOTSUPP
}

func (*kernel) LendSnapshot(context.Context, string, uint32, int64) (*os.File, func() error, error) {
	return nil, nil, syscall.EOPNOTSUPP
}

func (*kernel) Part(context.Context, *os.File, int64, int64) (*os.File, func() error, error) {
	return nil, nil, syscall.EOPNOTSUPP
}

func (*kernel) Scratch(context.Context, *os.File) (*os.File, func() error, error) {
	return nil, nil, syscall.EOPNOTSUPP
}

func (*kernel) Lent(context.Context, string, uint32) ([]string, error) { return nil, nil }
func (*kernel) Revoke(context.Context, string) error                   { return nil }
func (*kernel) Sweep(context.Context) error                            { return nil }
func (*kernel) Close() error                                           { return nil }

func TestEngineServesWhatItMay(t *testing.T) {
	t.Parallel()
	const id = 7
	idle := map[uint32]lend.User{id + 1: {Name: "other", Writable: true, Open: true}}
	user := func(u lend.User) map[uint32]lend.User { return map[uint32]lend.User{id: u} }
	readOnly := user(lend.User{Name: "ro", Open: true})
	unopened := user(lend.User{Name: "lv", Writable: true})
	running := user(lend.User{Name: "running", Writable: true, Open: true})
	for name, test := range map[string]struct {
		opts   Options
		users  map[uint32]lend.User
		fstype string
		engine Engine
		live   Live
		err    error
	}{
		"an image":                       {Options{Engine: EngineAuto}, nil, "ext4", EngineDirect, "", nil},
		"an image, by the kernel":        {Options{Engine: EngineKernel}, nil, "ext4", EngineKernel, "", nil},
		"an idle volume":                 {Options{Engine: EngineAuto}, idle, "xfs", EngineKernel, "", nil},
		"an idle volume, directly":       {Options{Engine: EngineDirect}, idle, "xfs", EngineDirect, "", nil},
		"what the kernel does not read":  {Options{Engine: EngineKernel}, idle, "zfs_member", EngineDirect, "", nil},
		"a metadata snapshot":            {Options{Engine: EngineAuto, HeldRoot: true}, idle, "ext4", EngineDirect, "", nil},
		"in use by readers only":         {Options{Engine: EngineAuto}, readOnly, "ext4", EngineKernel, "", nil},
		"active and not open":            {Options{Engine: EngineAuto}, unopened, "ext4", EngineKernel, "", nil},
		"in use":                         {Options{Engine: EngineAuto}, running, "ext4", EngineKernel, LiveAuto, nil},
		"in use, through its mount":      {Options{Engine: EngineAuto, Live: LiveBind}, running, "ext4", EngineKernel, LiveBind, nil},
		"in use, by a snapshot":          {Options{Engine: EngineAuto, Live: LiveSnapshot}, running, "ext4", EngineKernel, LiveSnapshot, nil},
		"in use, as it lies":             {Options{Engine: EngineAuto, Live: LiveDisk}, running, "ext4", EngineDirect, LiveDisk, nil},
		"in use, left out":               {Options{Engine: EngineAuto, Live: LiveSkip}, running, "ext4", EngineDirect, LiveSkip, syscall.EBUSY},
		"in use, directly":               {Options{Engine: EngineDirect}, running, "ext4", EngineDirect, LiveDisk, nil},
		"in use, left out also directly": {Options{Engine: EngineDirect, Live: LiveSkip}, running, "ext4", EngineDirect, LiveSkip, syscall.EBUSY},
		"in use, unread by the kernel":   {Options{Engine: EngineAuto}, running, "zfs_member", EngineDirect, LiveDisk, nil},
	} {
		if test.opts.Live == "" {
			test.opts.Live = LiveAuto
		}
		test.opts.Kernel = &kernel{users: test.users}
		tree := &Tree{opts: test.opts}
		r := &fsRoot{vol: &volume{identity: identity{pool: &pool{}, deviceID: id}}}
		got, err := tree.engine(t.Context(), r, test.fstype)
		if got.engine != test.engine || got.live != test.live || !errors.Is(err, test.err) || got.why == "" {
			t.Errorf("%s: %s %q (%s), %v; want %s %q, %v", name, got.engine, got.live, got.why, err, test.engine, test.live, test.err)
		}
	}
}

func TestEngineWithoutDeviceMapperIsDirect(t *testing.T) {
	t.Parallel()
	r := &fsRoot{vol: &volume{identity: identity{pool: &pool{}}}}
	got, err := (&Tree{opts: Options{Engine: EngineAuto}}).engine(t.Context(), r, "ext4")
	if err != nil || got.engine != EngineDirect {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestUsageCountsActivations(t *testing.T) {
	t.Parallel()
	const id = 7
	writer := map[uint32]lend.User{id: {Name: "w", Writable: true}}
	k := &kernel{users: map[uint32]lend.User{}}
	p := &pool{}
	for i, step := range []struct {
		users map[uint32]lend.User
		err   error
		inUse bool
		begun int
	}{
		{map[uint32]lend.User{}, nil, false, 0},
		{map[uint32]lend.User{id: {Name: "r"}}, nil, true, 1},
		{writer, nil, true, 1},
		{map[uint32]lend.User{}, nil, false, 1},
		{writer, nil, true, 2},
		{writer, nil, true, 2},
		{nil, errors.New("cannot be asked"), true, 2}, // then nobody knows
		{map[uint32]lend.User{}, nil, false, 2},
		{writer, nil, true, 3},
	} {
		k.mu.Lock()
		k.users, k.err = step.users, step.err
		k.mu.Unlock()
		before := p.usage.activations(id)
		moved := p.observe(t.Context(), k)
		if got := p.usage.activations(id); p.usage.inUse(id) != step.inUse || got != step.begun || moved != (got != before) {
			t.Errorf("step %d: in use %v, began %d times, moved %v", i, p.usage.inUse(id), got, moved)
		}
	}
	if !p.usage.moved.Load() {
		t.Error("the view is not told")
	}
	if !(&usage{}).inUse(id) {
		t.Error("what was never looked at is taken for idle")
	}
}
