package volume

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"syscall"
	"testing"

	"thintree/fusefs/layout"
	"thintree/meta"
	"thintree/tests/pools"
	"thintree/thin"
	"thintree/thin/block"
	"thintree/thin/lend"
)

// kernel is a Kernel with the users that a test sets. Its other methods panic.
type kernel struct {
	Kernel
	users map[uint32]lend.User // nil if the pool is not active
}

func (k *kernel) Users(context.Context, block.Location) (map[uint32]lend.User, error) {
	if k.users == nil {
		return nil, thin.ErrNotActive
	}
	return k.users, nil
}

func TestEngineIsChosenByOptionsAndUse(t *testing.T) {
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
		direct bool // if no journal has to be replayed
		err    error
	}{
		"an image":                         {Options{Engine: EngineAuto}, nil, "ext4", EngineDirect, "", false, nil},
		"an image, by the kernel":          {Options{Engine: EngineKernel}, nil, "ext4", EngineKernel, "", false, nil},
		"an idle volume":                   {Options{Engine: EngineAuto}, idle, "xfs", EngineKernel, "", false, nil},
		"an idle volume, directly":         {Options{Engine: EngineDirect}, idle, "xfs", EngineDirect, "", false, nil},
		"unread by the kernel":             {Options{Engine: EngineKernel}, idle, "zfs_member", EngineDirect, "", false, nil},
		"a metadata snapshot":              {Options{Engine: EngineAuto, HeldRoot: true}, idle, "ext4", EngineDirect, "", false, nil},
		"an idle volume that is read here": {Options{Engine: EngineAuto}, idle, "ext4", EngineKernel, "", true, nil},
		"an idle volume, by the kernel":    {Options{Engine: EngineKernel}, idle, "ext4", EngineKernel, "", false, nil},
		"in use by readers only":           {Options{Engine: EngineAuto}, readOnly, "ext4", EngineKernel, "", true, nil},
		"active and not open":              {Options{Engine: EngineAuto}, unopened, "ext4", EngineKernel, "", true, nil},
		"in use":                           {Options{Engine: EngineAuto}, running, "ext4", EngineKernel, LiveAuto, false, nil},
		"in use, through its mount":        {Options{Engine: EngineAuto, Live: LiveBind}, running, "ext4", EngineKernel, LiveBind, false, nil},
		"in use, by a snapshot":            {Options{Engine: EngineAuto, Live: LiveSnapshot}, running, "ext4", EngineKernel, LiveSnapshot, false, nil},
		"in use, as it is on the disk":     {Options{Engine: EngineAuto, Live: LiveDisk}, running, "ext4", EngineDirect, LiveDisk, false, nil},
		"in use, left out":                 {Options{Engine: EngineAuto, Live: LiveSkip}, running, "ext4", EngineDirect, LiveSkip, false, syscall.EBUSY},
		"in use, directly":                 {Options{Engine: EngineDirect}, running, "ext4", EngineDirect, LiveDisk, false, nil},
		"in use, left out also directly":   {Options{Engine: EngineDirect, Live: LiveSkip}, running, "ext4", EngineDirect, LiveSkip, false, syscall.EBUSY},
		"in use, unread by the kernel":     {Options{Engine: EngineAuto}, running, "zfs_member", EngineDirect, LiveDisk, false, nil},
	} {
		test.opts.Kernel = &kernel{users: test.users}
		got, err := NewOpener(test.opts).engine(t.Context(), someVolume(t, id), test.fstype)
		if got.engine != test.engine || got.live != test.live || (got.orDirect != "") != test.direct || !errors.Is(err, test.err) || got.why == "" {
			t.Errorf("%s: %s %q (%s), %v; want %s %q, %v", name, got.engine, got.live, got.why, err, test.engine, test.live, test.err)
		}
	}
}

// someVolume is a volume of a pool that is there.
func someVolume(t *testing.T, id uint32) *Root {
	t.Helper()
	store := filepath.Join(pools.Docker(t), "devicemapper/devicemapper")
	p, err := NewOpener(Options{Log: slog.New(slog.DiscardHandler)}).OpenPool(t.Context(), meta.Pool{
		Name: "pool", Metadata: block.At(filepath.Join(store, "metadata")), Data: block.At(filepath.Join(store, "data")),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	v := &Volume{Pool: p, in: p, identity: identity{deviceID: id}}
	v.whole.Volume = v
	v.SetRecord(&meta.Volume{})
	return v.At(layout.Place{})
}

func TestVolumeThatItsOwnerDeletesIsNotLent(t *testing.T) {
	t.Parallel()
	r := someVolume(t, 7)
	r.Volume.SetRecord(&meta.Volume{State: meta.StateDeleted})
	o := NewOpener(Options{Engine: EngineAuto, Kernel: &kernel{users: map[uint32]lend.User{}}})
	if got, err := o.engine(t.Context(), r, "xfs"); err != nil || got.engine != EngineDirect {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestEngineWithoutDeviceMapperIsDirect(t *testing.T) {
	t.Parallel()
	got, err := NewOpener(Options{Engine: EngineAuto}).engine(t.Context(), someVolume(t, 7), "ext4")
	if err != nil || got.engine != EngineDirect {
		t.Errorf("%+v, %v", got, err)
	}
}
