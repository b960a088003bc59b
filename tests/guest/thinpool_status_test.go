package guest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"thintree/thin"
	"thintree/thin/dm"
)

func TestPoolReportsItsStateAndGrows(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		l := newLab(t)
		l.leavesNothing(t, "low water and out of space, where writers wait", l.queues)
		l.leavesNothing(t, "out of space, where writers fail", l.failsWriters)
		l.leavesNothing(t, "grows", l.grows)
		l.leavesNothing(t, "out of metadata", l.outOfMetadata)
		l.leavesNothing(t, "failed", l.failed)
		l.leavesNothing(t, "needs a check", l.needsCheck)
		l.leavesNothing(t, "metadata snapshot and transaction id", l.messages)
		l.leavesNothing(t, "events end", l.eventsEnd)
	})
}

// volume makes and activates a device, until the test ends.
func volume(t *testing.T, l *lab, p *thin.Pool, id uint32, bytes int64) thin.Device {
	t.Helper()
	noError(t, p.CreateDevice(t.Context(), id))
	return active(t, l, p, thin.Activation{ID: id, SizeBytes: bytes})
}

func active(t *testing.T, l *lab, p *thin.Pool, a thin.Activation) thin.Device {
	t.Helper()
	if a.Name == "" {
		a.Name = fmt.Sprint("volume-", a.ID)
	}
	d, err := p.ActivateDevice(t.Context(), a)
	noError(t, err)
	t.Cleanup(func() { l.removeDevice(t, d.Name) })
	return d
}

func (l *lab) removeDevice(t *testing.T, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), seconds)
	defer cancel()
	if gone, err := l.RemoveDevice(ctx, name, false, dm.Hidden); err != nil || !gone {
		t.Errorf("remove %s: %v %v", name, gone, err)
	}
}

// fill writes to count MiB of a device, beginning at the MiB from.
func fill(d thin.Device, from, count int) error {
	out, err := exec.Command("dd", "status=none", "if=/dev/zero", "oflag=direct", "bs=1M", "of="+d.Path(),
		fmt.Sprint("seek=", from), fmt.Sprint("count=", count)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// events sends the statuses that a pool reports, until stop.
func events(t *testing.T, p *thin.Pool) (c <-chan thin.PoolStatus, stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	all, done := make(chan thin.PoolStatus, 100), make(chan error, 1)
	go func() {
		defer close(all)
		for s, err := range p.Events(ctx) {
			if err != nil {
				done <- err
				return
			}
			all <- s
		}
		done <- nil
	}()
	return all, func() {
		t.Helper()
		cancel()
		wants(t, "the events end", <-done, context.Canceled)
	}
}

// comes waits for a state.
func comes(t *testing.T, c <-chan thin.PoolStatus, what string, is func(thin.PoolStatus) bool) {
	t.Helper()
	var last thin.PoolStatus
	for end := time.After(seconds); ; {
		select {
		case s, ok := <-c:
			if !ok {
				t.Fatalf("the events have ended, last %+v; wanted: %s", last, what)
			}
			if last = s; is(s) {
				return
			}
		case <-end:
			t.Fatalf("no event tells: %s; the last one: %+v", what, last)
		}
	}
}

func outOfSpace(s thin.PoolStatus) bool { return s.Mode == thin.ModeOutOfDataSpace }

func (l *lab) queues(t *testing.T) {
	p := l.create(t, "queue", thin.Features{LowWaterBlocks: 256})
	defer l.remove(t, "queue")
	defer deactivatePool(t, p)
	c, stop := events(t, p)
	defer stop()
	t.Run("active", func(t *testing.T) {
		d := volume(t, l, p, 1, 128*mib)
		comes(t, c, "it is empty", func(s thin.PoolStatus) bool { return s.DataUsedBlocks == 0 })
		noError(t, fill(d, 0, 50))
		comes(t, c, "it has reached its low water mark", func(s thin.PoolStatus) bool { return s.DataUsedBlocks >= 1024-256 })
		done := make(chan error, 1)
		go func() { done <- fill(d, 50, 40) }()
		comes(t, c, "it is out of space", outOfSpace)
		if s := statusAgrees(t, p); s.Mode != thin.ModeOutOfDataSpace || s.ErrorIfNoSpace || s.DataUsedBlocks != 1024 {
			t.Errorf("%+v", s)
		}
		// Its filesystem could not be written out: the snapshot would wait for space.
		mode := wantsType[*thin.PoolModeError](t, "a snapshot of an active origin", p.CreateSnapDevice(t.Context(), 2, 1))
		if mode != nil && mode.Mode != thin.ModeOutOfDataSpace {
			t.Errorf("%+v", mode)
		}
		noError(t, p.CreateDevice(t.Context(), 3))
		noError(t, p.CreateSnapDevice(t.Context(), 4, 3))
		noError(t, p.Grow(t.Context(), 0, 128*mib))
		comes(t, c, "it can be written to", func(s thin.PoolStatus) bool { return s.Mode == thin.ModeReadWrite && s.DataTotalBlocks == 2048 })
		noError(t, <-done)
		statusAgrees(t, p)
	})
}

func (l *lab) failsWriters(t *testing.T) {
	p := l.create(t, "fails", thin.Features{ErrorIfNoSpace: true})
	defer l.remove(t, "fails")
	defer deactivatePool(t, p)
	t.Run("active", func(t *testing.T) {
		d := volume(t, l, p, 1, 128*mib)
		if err := fill(d, 0, 80); err == nil {
			t.Error("80 MiB were written to a pool of 64")
		}
		if s := statusAgrees(t, p); s.Mode != thin.ModeOutOfDataSpace || !s.ErrorIfNoSpace {
			t.Errorf("%+v", s)
		}
		noError(t, p.Grow(t.Context(), 0, 128*mib))
		if s := statusAgrees(t, p); s.Mode != thin.ModeReadWrite || s.DataTotalBlocks != 2048 || !s.ErrorIfNoSpace {
			t.Errorf("%+v", s)
		}
		noError(t, fill(d, 0, 80))
		// What a discard gives back makes room as well.
		noError(t, d.Discard())
		if s := statusAgrees(t, p); s.DataUsedBlocks != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func (l *lab) grows(t *testing.T) {
	p := l.create(t, "grows", thin.Features{})
	defer l.remove(t, "grows")
	defer deactivatePool(t, p)
	c := l.config("grows")
	t.Run("active", func(t *testing.T) {
		d := volume(t, l, p, 1, 64*mib)
		dir := stillMounted(t, d.Path())
		stop, done := make(chan struct{}), make(chan error, 1)
		go func() { done <- writeUntil(stop, dir) }()
		total := func(metadata, data uint64) {
			t.Helper()
			s, err := p.Status(t.Context())
			noError(t, err)
			if s.MetadataTotalBlocks != metadata || s.DataTotalBlocks != data || s.Mode != thin.ModeReadWrite {
				t.Errorf("%+v, want %d and %d", s, metadata, data)
			}
		}
		total(512, 1024)
		noError(t, p.Grow(t.Context(), 0, 80*mib))
		total(512, 1280)
		noError(t, p.Grow(t.Context(), 4*mib, 0))
		total(1024, 1280)
		noError(t, p.Grow(t.Context(), 8*mib, 96*mib))
		total(2048, 1536)
		noError(t, p.Grow(t.Context(), 0, 0))
		noError(t, p.Grow(t.Context(), 8*mib, 96*mib))
		l.leavesNothing(t, "shorter", func(t *testing.T) {
			for _, bytes := range [][2]int64{{4 * mib, 0}, {0, 64 * mib}} {
				if err := p.Grow(t.Context(), bytes[0], bytes[1]); err == nil {
					t.Errorf("it has become shorter: %d", bytes)
				}
			}
			total(2048, 1536)
		})
		noError(t, os.Truncate(c.Data, 112*mib)) // by hand
		noError(t, p.Grow(t.Context(), 0, 0))
		total(2048, 1792)
		close(stop)
		noError(t, <-done)
		statusAgrees(t, p)
	})
}

// writeUntil writes to a filesystem until stop.
func writeUntil(stop <-chan struct{}, dir string) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := writeSynced(dir + "/written"); err != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond) // the rest of the test has the same CPU
	}
}

func writeSynced(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 64<<10))
	return errors.Join(err, f.Sync(), f.Close())
}

func (l *lab) outOfMetadata(t *testing.T) {
	c := l.config("tiny")
	p, err := l.CreatePool(t.Context(), thin.NewPool{PoolConfig: c, MetadataBytes: 128 << 10, DataBytes: 64 * mib})
	noError(t, err)
	defer l.remove(t, "tiny")
	id := uint32(0)
	for ; err == nil && id < 1000; id++ {
		err = p.CreateDevice(t.Context(), id)
	}
	if mode := (*thin.PoolModeError)(nil); !errors.Is(err, thin.ErrOutOfMetadata) && !errors.As(err, &mode) {
		t.Errorf("device %d: %v", id, err)
	}
	s := statusAgrees(t, p)
	if s.Mode != thin.ModeReadOnly {
		t.Errorf("%+v", s)
	}
	wantsType[*thin.PoolModeError](t, "create in it", p.CreateDevice(t.Context(), 2000))
	if s.NeedsCheck {
		wantsType[*thin.PoolModeError](t, "it grows", p.Grow(t.Context(), 4*mib, 0))
	}
	deactivatePool(t, p)
	noError(t, thin.CheckPool(t.Context(), c.Metadata))
	sh(t, "thin_check -q --clear-needs-check-flag "+c.Metadata)
	p, err = l.ActivatePool(t.Context(), c)
	noError(t, err)
	noError(t, p.Grow(t.Context(), 4*mib, 0))
	noError(t, p.CreateDevice(t.Context(), 3000))
	if s := statusAgrees(t, p); s.Mode != thin.ModeReadWrite || s.MetadataTotalBlocks != 1024 {
		t.Errorf("%+v", s)
	}
	deactivatePool(t, p)
	noError(t, thin.CheckPool(t.Context(), c.Metadata))
}

// onFaulty makes a pool whose metadata lie on a device with a table that is
// changed by load. It ends deactivated.
func (l *lab) onFaulty(t *testing.T, do func(c thin.PoolConfig, p *thin.Pool, load func(target string))) {
	device, data := loop(t, l.path("m"), 4*mib), newFile(t, l.dir, "data", 64*mib)
	defer os.Remove(l.path("m"))
	defer os.Remove(data)
	defer sh(t, "losetup -d "+device)
	table := func(target string) string {
		return fmt.Sprintf("--table '0 %d %s'", 4*mib/sectorBytes, strings.ReplaceAll(target, "DEVICE", device))
	}
	sh(t, "dmsetup create beneath "+table(sound)+"; dmsetup mknodes")
	defer sh(t, "dmsetup remove beneath; rm -f /dev/mapper/beneath")
	c := thin.PoolConfig{Name: poolName, Metadata: "/dev/mapper/beneath", Data: data}
	p, err := l.CreatePool(t.Context(), thin.NewPool{PoolConfig: c})
	noError(t, err)
	do(c, p, func(target string) {
		sh(t, "dmsetup suspend --nolockfs --noflush beneath; dmsetup load beneath "+table(target)+"; dmsetup resume beneath")
	})
}

// Targets for it.
const (
	sound      = "linear DEVICE 0"
	allFails   = "error"
	writesFail = "flakey DEVICE 0 0 1 1 error_writes"
	flakeyMod  = "/usr/lib/uml/modules/*/kernel/drivers/md/dm-flakey.ko"
)

func (l *lab) failed(t *testing.T) {
	l.onFaulty(t, func(_ thin.PoolConfig, p *thin.Pool, load func(string)) {
		c, stop := events(t, p)
		noError(t, p.CreateDevice(t.Context(), 1))
		d, err := p.ActivateDevice(t.Context(), thin.Activation{Name: "volume", ID: 1, SizeBytes: volumeBytes})
		noError(t, err)
		load(allFails)
		wantsType[*thin.PoolModeError](t, "create", p.CreateDevice(t.Context(), 2))
		comes(t, c, "it has failed", func(s thin.PoolStatus) bool { return s.Mode == thin.ModeFailed })
		stop()
		statusAgrees(t, p)
		_, activated := p.ActivateDevice(t.Context(), thin.Activation{Name: "late", ID: 1, SizeBytes: volumeBytes})
		for what, err := range map[string]error{
			"create":         p.CreateDevice(t.Context(), 2),
			"snapshot":       p.CreateSnapDevice(t.Context(), 2, 1),
			"delete":         p.DeleteDevice(t.Context(), 1),
			"grow":           p.Grow(t.Context(), 0, 0),
			"reserve":        p.ReserveMetadataSnapshot(t.Context()),
			"transaction id": p.SetTransactionID(t.Context(), 0, 1),
			"activate":       activated,
		} {
			if mode := wantsType[*thin.PoolModeError](t, what, err); mode != nil && mode.Mode != thin.ModeFailed {
				t.Errorf("%s: %+v", what, mode)
			}
		}
		info, targets, err := l.DM().Status(t.Context(), d.Name)
		noError(t, err)
		if s, err := thin.ParseDeviceStatus(targets[0].Params); err != nil || !s.Failed || info.Suspended {
			t.Errorf("%+v, %+v, %v of %q", info, s, err, targets[0].Params)
		}
		l.removeDevice(t, d.Name)
		deactivatePool(t, p)
	})
}

func (l *lab) needsCheck(t *testing.T) {
	sh(t, "grep -q dm_flakey /proc/modules || insmod "+flakeyMod)
	l.onFaulty(t, func(c thin.PoolConfig, p *thin.Pool, load func(string)) {
		noError(t, p.CreateDevice(t.Context(), 1))
		load(writesFail)
		wantsType[*thin.PoolModeError](t, "create where it cannot be written down", p.CreateDevice(t.Context(), 2))
		statusAgrees(t, p)
		load(sound)
		deactivatePool(t, p)
		noError(t, thin.CheckPool(t.Context(), c.Metadata))
		setNeedsCheck(t, c.Metadata) // the kernel could not write it down either
		p, err := l.ActivatePool(t.Context(), c)
		noError(t, err)
		if s := statusAgrees(t, p); !s.NeedsCheck || s.Mode != thin.ModeReadOnly {
			t.Errorf("%+v", s)
		}
		for what, err := range map[string]error{
			"create": p.CreateDevice(t.Context(), 3),
			"grow":   p.Grow(t.Context(), 0, 128*mib),
		} {
			if mode := wantsType[*thin.PoolModeError](t, what, err); mode != nil && !mode.NeedsCheck {
				t.Errorf("%s: %+v", what, mode)
			}
		}
		deactivatePool(t, p)
	})
}

// setNeedsCheck sets the flag in a superblock.
func setNeedsCheck(t *testing.T, metadata string) {
	t.Helper()
	f, err := os.OpenFile(metadata, os.O_RDWR, 0)
	noError(t, err)
	defer f.Close()
	const bytes, salt = 4096, 160774
	p := make([]byte, bytes)
	_, err = f.ReadAt(p, 0)
	noError(t, err)
	p[4] |= 1
	binary.LittleEndian.PutUint32(p, ^crc32.Checksum(p[4:], crc32.MakeTable(crc32.Castagnoli))^salt)
	_, err = f.WriteAt(p, 0)
	noError(t, errors.Join(err, f.Sync()))
}

func (l *lab) messages(t *testing.T) {
	p := l.create(t, "messages", thin.Features{})
	defer l.remove(t, "messages")
	ctx := t.Context()
	wants(t, "release what nobody holds", p.ReleaseMetadataSnapshot(ctx), thin.ErrNotHeld)
	noError(t, p.ReserveMetadataSnapshot(ctx))
	held := statusAgrees(t, p).HeldRoot
	if held == 0 {
		t.Error("no block is held")
	}
	wants(t, "reserve again", p.ReserveMetadataSnapshot(ctx), thin.ErrHeld)
	noError(t, p.SetTransactionID(ctx, 0, 7))
	wants(t, "another transaction id", p.SetTransactionID(ctx, 0, 8), thin.ErrTransactionID)
	deactivatePool(t, p)
	p, err := l.ActivatePool(ctx, l.config("messages"))
	noError(t, err)
	if s := statusAgrees(t, p); s.HeldRoot != held || s.TransactionID != 7 {
		t.Errorf("%+v, held before %d", s, held)
	}
	noError(t, p.ReleaseMetadataSnapshot(ctx))
	if s := statusAgrees(t, p); s.HeldRoot != 0 {
		t.Errorf("%+v", s)
	}
	deactivatePool(t, p)
	_, err = p.Status(ctx)
	wants(t, "status of what is gone", err, dm.ErrNotFound)
	wants(t, "a message to what is gone", p.CreateDevice(ctx, 1), unix.ENXIO)
	wants(t, "grow what is gone", p.Grow(ctx, 0, 0), dm.ErrNotFound)
}

func (l *lab) eventsEnd(t *testing.T) {
	p := l.create(t, "events", thin.Features{})
	defer l.remove(t, "events")
	ended := make(chan error, 1)
	first := make(chan struct{}, 100)
	go func() {
		for _, err := range p.Events(t.Context()) {
			first <- struct{}{}
			if err != nil {
				ended <- err
			}
		}
	}()
	<-first
	deactivatePool(t, p)
	select {
	case err := <-ended:
		wants(t, "the events of a pool that is gone", err, dm.ErrNotFound)
	case <-time.After(seconds):
		t.Error("they have not ended")
	}
}
