package guest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"thintree/thin"
	"thintree/thin/dm"
	"thintree/thin/pdata"
)

func TestDeviceIsMadeActivatedAndDeleted(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		l := newLab(t)
		p := l.create(t, "pool", thin.Features{})
		for name, test := range map[string]func(t *testing.T, l *lab, p *thin.Pool){
			"ids":                      deviceIDs,
			"snapshot of a live one":   liveSnapshot,
			"external origin":          externalOrigin,
			"read-only":                readOnlyDevice,
			"two names":                twoNames,
			"activated again":          activatedAgain,
			"not activated":            notActivated,
			"removed while it is used": usedDevice,
			"suspended and resumed":    suspendedDevice,
			"trimmed":                  trimmed,
		} {
			l.leavesNothing(t, name, func(t *testing.T) {
				t.Run("active", func(t *testing.T) { test(t, l, p) })
				for id := range uint32(10) { // what the test has created
					if err := p.DeleteDevice(t.Context(), id); err != nil && !errors.Is(err, unix.ENXIO) {
						t.Error(err)
					}
				}
				if s := statusAgrees(t, p); s.DataUsedBlocks != 0 || s.Mode != thin.ModeReadWrite {
					t.Errorf("%+v", s)
				}
			})
		}
		deactivatePool(t, p)
		noError(t, thin.CheckPool(t.Context(), l.config("pool").Metadata))
	})
}

func deviceIDs(t *testing.T, l *lab, p *thin.Pool) {
	ctx := t.Context()
	noError(t, p.CreateDevice(ctx, 1))
	wants(t, "an id again", p.CreateDevice(ctx, 1), thin.ErrIDInUse)
	wants(t, "a snapshot of an id again", p.CreateSnapDevice(ctx, 1, 1), thin.ErrIDInUse)
	missing := func(what string, err error, id uint32) {
		t.Helper()
		if none := wantsType[*pdata.NoDeviceError](t, what, err); none != nil && none.ID != id {
			t.Errorf("%s: device %d, want %d", what, none.ID, id)
		}
	}
	missing("a snapshot of nothing", p.CreateSnapDevice(ctx, 2, 7), 7)
	missing("delete nothing", p.DeleteDevice(ctx, 7), 7)
	_, err := p.ActivateDevice(ctx, thin.Activation{Name: "volume-7", ID: 7, SizeBytes: volumeBytes})
	missing("activate nothing", err, 7)
	for what, err := range map[string]error{
		"create":   p.CreateDevice(ctx, thin.MaxDeviceID+1),
		"snapshot": p.CreateSnapDevice(ctx, thin.MaxDeviceID+1, 1),
		"origin":   p.CreateSnapDevice(ctx, 2, thin.MaxDeviceID+1),
		"delete":   p.DeleteDevice(ctx, thin.MaxDeviceID+1),
	} {
		if err == nil {
			t.Errorf("%s: no id is so high", what)
		}
	}
	noError(t, p.CreateDevice(ctx, thin.MaxDeviceID))
	noError(t, p.DeleteDevice(ctx, thin.MaxDeviceID))
	active(t, l, p, thin.Activation{ID: 1, SizeBytes: volumeBytes})
	wants(t, "delete an active one", p.DeleteDevice(ctx, 1), thin.ErrActive)
}

// liveSnapshot makes snapshots of a filesystem that is being written to.
func liveSnapshot(t *testing.T, l *lab, p *thin.Pool) {
	d := volume(t, l, p, 1, 32*mib)
	dir := stillMounted(t, d.Path())
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- writeUntil(stop, dir) }()
	runs := func() {
		t.Helper()
		info, err := l.DM().Info(t.Context(), d.Name)
		noError(t, err)
		if info.Suspended {
			t.Error("the origin is left suspended")
		}
	}
	mnt := t.TempDir()
	for id := uint32(2); id < 5; id++ {
		time.Sleep(100 * time.Millisecond)
		noError(t, os.WriteFile(dir+"/last", fmt.Append(nil, id), 0o600)) // not synced
		noError(t, p.CreateSnapDevice(t.Context(), id, 1))
		runs()
		s := active(t, l, p, thin.Activation{ID: id, SizeBytes: 32 * mib, ReadOnly: true})
		// Without a replay of the journal: it was frozen.
		sh(t, "mount -o ro,noload "+s.Path()+" "+mnt)
		text, err := os.ReadFile(mnt + "/last")
		sh(t, "umount "+mnt)
		if err != nil || string(text) != fmt.Sprint(id) {
			t.Errorf("snapshot %d has %q, %v", id, text, err)
		}
		if state := sh(t, "dumpe2fs -h "+s.Path()+" 2>/dev/null"); strings.Contains(state, "needs_recovery") {
			t.Errorf("snapshot %d has to be recovered", id)
		}
		sh(t, "e2fsck -fn "+s.Path())
	}
	wants(t, "an id in use", p.CreateSnapDevice(t.Context(), 2, 1), thin.ErrIDInUse)
	runs()
	close(stop)
	noError(t, <-done)
	// The process that has suspended it finds it so.
	noError(t, l.SuspendDevice(t.Context(), d.Name))
	noError(t, p.CreateSnapDevice(t.Context(), 5, 1))
	info, err := l.DM().Info(t.Context(), d.Name)
	noError(t, err)
	noError(t, l.ResumeDevice(t.Context(), d.Name))
	if !info.Suspended {
		t.Error("it was resumed, and somebody else had suspended it")
	}
}

func externalOrigin(t *testing.T, l *lab, p *thin.Pool) {
	base := newFile(t, l.dir, "base", 4*mib)
	defer os.Remove(base)
	text := bytes.Repeat([]byte("external origin\n"), 4*mib/16)
	noError(t, os.WriteFile(base, text, 0o600))
	device := attach(t, base)
	defer sh(t, "losetup -d "+device)
	noError(t, p.CreateDevice(t.Context(), 1))
	a := thin.Activation{Name: "over", ID: 1, SizeBytes: 8 * mib, Origin: device}
	d, err := p.ActivateDevice(t.Context(), a)
	noError(t, err)
	defer l.removeDevice(t, d.Name)
	f, err := os.OpenFile(d.Path(), os.O_RDWR, 0)
	noError(t, err)
	_, err = f.WriteAt([]byte("written"), 100)
	noError(t, errors.Join(err, f.Sync(), f.Close()))
	want := append(bytes.Clone(text), make([]byte, 4*mib)...)
	copy(want[100:], "written")
	got, err := os.ReadFile(d.Path())
	noError(t, err)
	if !bytes.Equal(got, want) {
		t.Error("other bytes")
	}
	if now, err := os.ReadFile(base); err != nil || !bytes.Equal(now, text) {
		t.Error("the origin has changed: ", err)
	}
	again, err := p.ActivateDevice(t.Context(), a)
	if err != nil || again != d {
		t.Errorf("again: %+v, %v", again, err)
	}
	for path, want := range map[string]error{"": dm.ErrExists, base: nil, l.path("none"): os.ErrNotExist} {
		a.Origin = path
		if _, err := p.ActivateDevice(t.Context(), a); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("origin %q: %v", path, err)
		}
	}
}

func readOnlyDevice(t *testing.T, l *lab, p *thin.Pool) {
	noError(t, p.CreateDevice(t.Context(), 1))
	a := thin.Activation{ID: 1, SizeBytes: volumeBytes, ReadOnly: true}
	d := active(t, l, p, a)
	f, err := os.OpenFile(d.Path(), os.O_RDWR, 0)
	noError(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte("x"), 0)
	wants(t, "a write", err, unix.EPERM)
	a.Name, a.ReadOnly = d.Name, false
	_, err = p.ActivateDevice(t.Context(), a)
	wants(t, "writable, of the same name", err, dm.ErrExists)
}

func twoNames(t *testing.T, l *lab, p *thin.Pool) {
	noError(t, p.CreateDevice(t.Context(), 1))
	one := active(t, l, p, thin.Activation{Name: "one", ID: 1, SizeBytes: volumeBytes, ReadOnly: true})
	two := active(t, l, p, thin.Activation{Name: "two", ID: 1, SizeBytes: 2 * volumeBytes, ReadOnly: true})
	if one.Number == two.Number || one.ID != two.ID {
		t.Errorf("%+v, %+v", one, two)
	}
	noError(t, p.CreateSnapDevice(t.Context(), 2, 1))
	for _, name := range []string{"one", "two"} {
		info, err := l.DM().Info(t.Context(), name)
		noError(t, err)
		if info.Suspended {
			t.Errorf("%s is left suspended", name)
		}
	}
}

func activatedAgain(t *testing.T, l *lab, p *thin.Pool) {
	noError(t, p.CreateDevice(t.Context(), 1))
	a := thin.Activation{Name: "volume", UUID: "UUID-1", ID: 1, SizeBytes: volumeBytes}
	sh(t, "dmsetup create volume --uuid UUID-1 --notable") // as a kill leaves it
	d := active(t, l, p, a)
	if again, err := p.ActivateDevice(t.Context(), a); err != nil || again != d {
		t.Errorf("again: %+v, %v", again, err)
	}
	// The table is 0 LENGTH thin POOL ID
	words := strings.Fields(dmsetup(t, "table", "volume"))
	if words[1] != fmt.Sprint(volumeBytes/sectorBytes) || words[2] != "thin" || words[4] != "1" {
		t.Errorf("%q", words)
	}
	if uuid := dmsetup(t, "info -c --noheadings -o uuid", "volume"); uuid != "UUID-1" {
		t.Error(uuid)
	}
	other := a
	other.SizeBytes *= 2
	_, err := p.ActivateDevice(t.Context(), other)
	wants(t, "of another length", err, dm.ErrExists)
	noError(t, p.CreateDevice(t.Context(), 2))
	other = a
	other.ID = 2
	_, err = p.ActivateDevice(t.Context(), other)
	wants(t, "of another id", err, dm.ErrExists)
	other.Name = "else"
	_, err = p.ActivateDevice(t.Context(), other)
	wants(t, "of the same UUID", err, dm.ErrExists)
	// One that was to go stays.
	f, err := os.Open(d.Path())
	noError(t, err)
	gone, err := l.RemoveDevice(t.Context(), d.Name, true, dm.Hidden)
	if gone || err != nil {
		t.Errorf("an open device has gone: %v", err)
	}
	_, err = p.ActivateDevice(t.Context(), a)
	noError(t, errors.Join(err, f.Close()))
	if info, err := l.DM().Info(t.Context(), d.Name); err != nil || info.DeferredRemoval {
		t.Errorf("%+v, %v", info, err)
	}
}

func notActivated(t *testing.T, l *lab, p *thin.Pool) {
	noError(t, p.CreateDevice(t.Context(), 1))
	for _, bytes := range []int64{0, -512, 100, 513} {
		if _, err := p.ActivateDevice(t.Context(), thin.Activation{Name: "volume", ID: 1, SizeBytes: bytes}); err == nil {
			t.Errorf("of %d bytes", bytes)
		}
	}
	for _, name := range []string{"", "a/b", "a b", strings.Repeat("x", 128)} {
		_, err := p.ActivateDevice(t.Context(), thin.Activation{Name: name, ID: 1, SizeBytes: volumeBytes})
		wantsType[*dm.NameError](t, name, err)
	}
	sh(t, "dmsetup create theirs --notable --uuid THEIRS")
	defer sh(t, "dmsetup remove theirs")
	_, err := p.ActivateDevice(t.Context(), thin.Activation{Name: "theirs", ID: 1, SizeBytes: volumeBytes})
	wants(t, "of somebody else's name", err, dm.ErrExists)
}

func usedDevice(t *testing.T, l *lab, p *thin.Pool) {
	noError(t, p.CreateDevice(t.Context(), 1))
	a := thin.Activation{Name: "volume", ID: 1, SizeBytes: volumeBytes}
	open := func() *os.File {
		d, err := p.ActivateDevice(t.Context(), a)
		noError(t, err)
		f, err := os.Open(d.Path())
		noError(t, err)
		return f
	}
	f := open()
	ctx, cancel := briefly(t)
	defer cancel()
	gone, err := l.RemoveDevice(ctx, a.Name, false, dm.Hidden)
	wants(t, "remove", err, dm.ErrInUse)
	if gone {
		t.Error("it has gone")
	}
	time.AfterFunc(200*time.Millisecond, func() { f.Close() })
	if gone, err := l.RemoveDevice(t.Context(), a.Name, false, dm.Hidden); err != nil || !gone {
		t.Errorf("it does not wait: %v, %v", gone, err)
	}
	f = open()
	if gone, err := l.RemoveDevice(t.Context(), a.Name, true, dm.Hidden); err != nil || gone {
		t.Errorf("deferred, in use: %v, %v", gone, err)
	}
	noError(t, f.Close())
	within(t, seconds, "it goes with its last user", func() error {
		if _, err := l.DM().Info(t.Context(), a.Name); !errors.Is(err, dm.ErrNotFound) {
			return fmt.Errorf("it is there: %w", err)
		}
		return nil
	})
	noError(t, open().Close())
	for _, what := range []string{"deferred, not in use", "deferred, gone"} {
		if gone, err := l.RemoveDevice(t.Context(), a.Name, true, dm.Hidden); err != nil || !gone {
			t.Errorf("%s: %v, %v", what, gone, err)
		}
	}
	l.removeDevice(t, a.Name) // that is gone
}

func suspendedDevice(t *testing.T, l *lab, p *thin.Pool) {
	d := volume(t, l, p, 1, volumeBytes)
	dir := stillMounted(t, d.Path())
	noError(t, l.SuspendDevice(t.Context(), d.Name))
	if state := dmsetup(t, "info -c --noheadings -o suspended", d.Name); state != "Suspended" {
		t.Error(state)
	}
	done := make(chan error, 1)
	go func() { done <- writeSynced(dir + "/x") }()
	select {
	case err := <-done:
		t.Errorf("a write did not wait: %v", err)
		done <- err
	case <-time.After(300 * time.Millisecond):
	}
	noError(t, l.ResumeDevice(t.Context(), d.Name))
	noError(t, <-done)
	wants(t, "suspend nothing", l.SuspendDevice(t.Context(), "nothing"), dm.ErrNotFound)
	wants(t, "resume nothing", l.ResumeDevice(t.Context(), "nothing"), dm.ErrNotFound)
}

func trimmed(t *testing.T, l *lab, p *thin.Pool) {
	d := volume(t, l, p, 1, 32*mib)
	dir := stillMounted(t, d.Path())
	mapped := func() uint64 {
		t.Helper()
		_, targets, err := l.DM().Status(t.Context(), d.Name)
		noError(t, err)
		s, err := thin.ParseDeviceStatus(targets[0].Params)
		noError(t, err)
		return s.MappedSectors * sectorBytes
	}
	noError(t, os.WriteFile(dir+"/big", make([]byte, 20*mib), 0o600))
	sh(t, "sync -f "+dir)
	full := mapped()
	noError(t, os.Remove(dir+"/big"))
	sh(t, "sync -f "+dir)
	f, err := os.Open(dir)
	noError(t, err)
	given, err := l.Trim(t.Context(), d.Name, f)
	noError(t, errors.Join(err, f.Close()))
	if now := mapped(); given != int64(full-now) || now+18*mib > full {
		t.Errorf("%d bytes were given back, and of %d there are %d", given, full, now)
	}
	wants(t, "discard what is mounted", d.Discard(), unix.EBUSY)
	sh(t, "umount "+dir)
	noError(t, d.Discard())
	if now := mapped(); now != 0 {
		t.Errorf("%d bytes are left", now)
	}
	f, err = os.Open("/proc")
	noError(t, err)
	defer f.Close()
	if _, err := l.Trim(t.Context(), d.Name, f); err == nil {
		t.Error("/proc was trimmed")
	}
	if _, err := l.Trim(t.Context(), poolName, f); err == nil {
		t.Error("a pool was trimmed")
	}
}
