package guest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/thin"
	"thintree/thin/dm"
	"thintree/thin/pdata"
)

func TestPoolIsCreatedAndActivated(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		l := newLab(t)
		l.leavesNothing(t, "with each feature", l.eachFeature)
		l.leavesNothing(t, "on block devices", l.onBlockDevices)
		l.leavesNothing(t, "not over what holds something", l.notOver)
		l.leavesNothing(t, "not made where it fails", l.notMade)
		l.leavesNothing(t, "activated again", l.activatedAgain)
		l.leavesNothing(t, "not activated twice", l.notTwice)
		l.leavesNothing(t, "not activated where a half is wrong", l.wrongHalf)
		l.leavesNothing(t, "not deactivated in use", l.busy)
		l.leavesNothing(t, "checked", l.checked)
	})
}

// remove removes a pool's files.
func (l *lab) remove(t *testing.T, files string) {
	t.Helper()
	c := l.config(files)
	noError(t, errors.Join(os.Remove(c.Metadata), os.Remove(c.Data)))
}

func (l *lab) eachFeature(t *testing.T) {
	const sectors = 64 * mib / sectorBytes
	create := true
	for _, c := range []struct {
		words string
		thin.Features
	}{
		{"0 0", thin.Features{}},
		{"100 0", thin.Features{LowWaterBlocks: 100}},
		{"0 1 skip_block_zeroing", thin.Features{SkipBlockZeroing: true}},
		{"0 1 error_if_no_space", thin.Features{ErrorIfNoSpace: true}},
		{"0 1 ignore_discard", thin.Features{IgnoreDiscard: true}},
		{"0 1 no_discard_passdown", thin.Features{NoDiscardPassdown: true}},
		{"7 3 skip_block_zeroing no_discard_passdown error_if_no_space", thin.Features{LowWaterBlocks: 7, SkipBlockZeroing: true, NoDiscardPassdown: true, ErrorIfNoSpace: true}},
		{"0 1 read_only", thin.Features{ReadOnly: true}},
	} {
		config := l.config("features")
		config.Features = c.Features
		var p *thin.Pool
		var err error
		if create {
			p = l.create(t, "features", c.Features)
			create = false
		} else {
			p, err = l.ActivatePool(t.Context(), config)
			noError(t, err)
		}
		// 0 64M thin-pool METADATA DATA 128 LOWWATER COUNT FEATURES
		words := strings.Fields(dmsetup(t, "table", poolName))
		if got, want := strings.Join(append(words[:3:3], words[5:]...), " "), fmt.Sprintf("0 %d thin-pool 128 %s", sectors, c.words); got != want {
			t.Errorf("the table is %q, want %q", got, want)
		}
		s := statusAgrees(t, p)
		if s.ErrorIfNoSpace != c.ErrorIfNoSpace || (s.Mode == thin.ModeReadOnly) != c.ReadOnly ||
			(s.Discard == "ignore_discard") != c.IgnoreDiscard || (s.Discard == "no_discard_passdown") != c.NoDiscardPassdown {
			t.Errorf("%+v of %+v", s, c.Features)
		}
		if s.DataTotalBlocks != 1024 || s.MetadataTotalBlocks != 512 || p.BlockBytes() != 65536 {
			t.Errorf("%+v", s)
		}
		if c.ReadOnly {
			mode := wantsType[*thin.PoolModeError](t, "in a read-only pool", p.CreateDevice(t.Context(), 1))
			if mode != nil && mode.Mode != thin.ModeReadOnly {
				t.Errorf("%+v", mode)
			}
			wantsType[*thin.PoolModeError](t, "a read-only pool grows", p.Grow(t.Context(), 0, 128*mib))
		}
		deactivatePool(t, p)
	}
	l.remove(t, "features")
}

func (l *lab) onBlockDevices(t *testing.T) {
	metadata, data := loop(t, l.path("m"), 4*mib), loop(t, l.path("d"), 64*mib)
	defer os.Remove(l.path("m"))
	defer os.Remove(l.path("d"))
	defer sh(t, "losetup -d "+metadata+" "+data)
	c := thin.PoolConfig{Name: poolName, UUID: "POOL-1", Metadata: metadata, Data: data, BlockSectors: 384}
	p, err := l.CreatePool(t.Context(), thin.NewPool{PoolConfig: c})
	noError(t, err)
	if s := statusAgrees(t, p); s.DataTotalBlocks != 341 || p.BlockBytes() != 192<<10 {
		t.Errorf("%+v", s)
	}
	if uuid := dmsetup(t, "info -c --noheadings -o uuid", poolName); uuid != "POOL-1" {
		t.Error(uuid)
	}
	deactivatePool(t, p)
	c.BlockSectors = 0
	p, err = l.ActivatePool(t.Context(), c)
	noError(t, err)
	if p.BlockBytes() != 192<<10 {
		t.Error(p.BlockBytes())
	}
	if words := strings.Fields(dmsetup(t, "table", poolName)); words[5] != "384" {
		t.Error(words)
	}
	// The kernel itself notices only one block device used twice.
	other := c
	other.Name, other.UUID = "other", ""
	_, err = l.ActivatePool(t.Context(), other)
	wantsType[*thin.InUseError](t, "a second pool on the same block devices", err)
	other.Metadata = attach(t, l.path("m"))
	other.Data = loop(t, l.path("d2"), 64*mib)
	defer os.Remove(l.path("d2"))
	defer sh(t, "losetup -d "+other.Metadata+" "+other.Data)
	_, err = l.ActivatePool(t.Context(), other)
	wantsType[*thin.InUseError](t, "a second pool on another loop device over the same file", err)
	deactivatePool(t, p)
}

func (l *lab) notOver(t *testing.T) {
	pool := l.create(t, "old", thin.Features{})
	deactivatePool(t, pool)
	defer l.remove(t, "old")
	old := l.config("old")
	write := func(at int64, text string) func(path string) {
		return func(path string) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			noError(t, err)
			_, err = f.WriteAt([]byte(text), at)
			noError(t, errors.Join(err, f.Close()))
		}
	}
	const bytesLong = 8 * mib
	for name, fill := range map[string]func(path string){
		"a pool":           func(path string) { sh(t, "dd status=none conv=notrunc if="+old.Metadata+" of="+path) },
		"ext4":             func(path string) { sh(t, "mkfs.ext4 -q "+path) },
		"btrfs":            write(64<<10+64, "_BHRfS_M"),
		"a GPT at the end": write(bytesLong-512, "EFI PART"),
	} {
		for half := range 2 {
			l.leavesNothing(t, fmt.Sprintf("%s, half %d", name, half), func(t *testing.T) {
				paths := []string{newFile(t, l.dir, "metadata", bytesLong), newFile(t, l.dir, "data", bytesLong)}
				defer os.Remove(paths[0])
				defer os.Remove(paths[1])
				fill(paths[half])
				before, err := os.ReadFile(paths[half])
				noError(t, err)
				n := thin.NewPool{PoolConfig: thin.PoolConfig{Name: poolName, Metadata: paths[0], Data: paths[1]}}
				_, err = l.CreatePool(t.Context(), n)
				holds := wantsType[*thin.NotEmptyError](t, "create", err)
				if holds != nil && (holds.Path != paths[half] || strings.Contains(holds.What, "pool") != (name == "a pool")) {
					t.Errorf("%+v", holds)
				}
				after, err := os.ReadFile(paths[half])
				noError(t, err)
				if !bytes.Equal(before, after) {
					t.Error("it was changed")
				}
				n.Destroy = true
				p, err := l.CreatePool(t.Context(), n)
				noError(t, err)
				if s := statusAgrees(t, p); s.DataTotalBlocks != 128 || s.DataUsedBlocks != 0 {
					t.Errorf("%+v", s)
				}
				deactivatePool(t, p)
			})
		}
	}
}

func (l *lab) notMade(t *testing.T) {
	l.leavesNothing(t, "a name that is none", func(t *testing.T) {
		for _, name := range []string{"", "a/b", "a b", strings.Repeat("x", 128), "control"} {
			n := thin.NewPool{PoolConfig: l.config("new"), DataBytes: 64 * mib}
			n.Name = name
			_, err := l.CreatePool(t.Context(), n)
			wantsType[*dm.NameError](t, name, err)
		}
	})
	l.leavesNothing(t, "a name that is taken", func(t *testing.T) {
		sh(t, "dmsetup create taken --table '0 8 error'")
		defer sh(t, "dmsetup remove taken")
		n := thin.NewPool{PoolConfig: l.config("new"), DataBytes: 64 * mib}
		n.Name = "taken"
		_, err := l.CreatePool(t.Context(), n)
		wants(t, "create", err, dm.ErrExists)
	})
	l.leavesNothing(t, "a UUID that is taken", func(t *testing.T) {
		sh(t, "dmsetup create taken --uuid U --table '0 8 error'")
		defer sh(t, "dmsetup remove taken")
		n := thin.NewPool{PoolConfig: l.config("new"), DataBytes: 64 * mib}
		n.UUID = "U"
		_, err := l.CreatePool(t.Context(), n)
		wants(t, "create", err, dm.ErrExists)
	})
	l.leavesNothing(t, "no length", func(t *testing.T) {
		_, err := l.CreatePool(t.Context(), thin.NewPool{PoolConfig: l.config("new")})
		wants(t, "create", err, os.ErrNotExist)
	})
	l.leavesNothing(t, "data of less than a block", func(t *testing.T) {
		_, err := l.CreatePool(t.Context(), thin.NewPool{PoolConfig: l.config("new"), DataBytes: 4096})
		wantsType[*thin.TooShortError](t, "create", err)
	})
	l.leavesNothing(t, "too little metadata", func(t *testing.T) {
		_, err := l.CreatePool(t.Context(), thin.NewPool{PoolConfig: l.config("new"), DataBytes: 64 * mib, MetadataBytes: 4096})
		wantsType[*thin.TooShortError](t, "create", err)
	})
	l.leavesNothing(t, "one file for both", func(t *testing.T) {
		c := l.config("new")
		c.Data = c.Metadata
		if _, err := l.CreatePool(t.Context(), thin.NewPool{PoolConfig: c, DataBytes: 64 * mib}); err == nil {
			t.Error("it was made")
		}
	})
	l.leavesNothing(t, "a folder that is not there", func(t *testing.T) {
		c := l.config("new")
		c.Metadata = l.path("none/metadata")
		_, err := l.CreatePool(t.Context(), thin.NewPool{PoolConfig: c, DataBytes: 64 * mib})
		wants(t, "create", err, os.ErrNotExist)
	})
	l.leavesNothing(t, "block lengths that are none", func(t *testing.T) {
		for _, n := range []uint32{1, 64, 129, 2097152 + 128} {
			c := l.config("new")
			c.BlockSectors = n
			if _, err := l.CreatePool(t.Context(), thin.NewPool{PoolConfig: c, DataBytes: 64 * mib}); err == nil {
				t.Errorf("one with blocks of %d sectors was made", n)
			}
		}
	})
	l.leavesNothing(t, "a mounted device", func(t *testing.T) {
		device := loop(t, l.path("image"), 16*mib)
		dir := mounted(t, device)
		defer os.Remove(l.path("image"))
		defer sh(t, "umount "+dir+" && losetup -d "+device)
		for _, path := range []string{device, l.path("image")} {
			c := l.config("new")
			c.Data = path
			_, err := l.CreatePool(t.Context(), thin.NewPool{PoolConfig: c, Destroy: true})
			wantsType[*thin.InUseError](t, "create over "+path, err)
		}
	})
}

func (l *lab) activatedAgain(t *testing.T) {
	p := l.create(t, "again", thin.Features{})
	defer l.remove(t, "again")
	c := l.config("again")
	l.leavesNothing(t, "active", func(t *testing.T) {
		for range 2 {
			q, err := l.ActivatePool(t.Context(), c)
			noError(t, err)
			if statusAgrees(t, q) != statusAgrees(t, p) || q.BlockBytes() != p.BlockBytes() {
				t.Error("another pool")
			}
		}
		q, err := l.OpenPool(t.Context(), poolName)
		noError(t, err)
		if q.BlockBytes() != p.BlockBytes() {
			t.Error(q.BlockBytes())
		}
	})
	l.leavesNothing(t, "other files of the name", func(t *testing.T) {
		newFile(t, l.dir, "else-metadata", 4*mib)
		newFile(t, l.dir, "else-data", 4*mib)
		defer l.remove(t, "else")
		_, err := l.ActivatePool(t.Context(), l.config("else"))
		wants(t, "activate", err, dm.ErrExists)
		_, err = l.CreatePool(t.Context(), thin.NewPool{PoolConfig: l.config("else")})
		wants(t, "create", err, dm.ErrExists)
	})
	deactivatePool(t, p)
	_, err := l.OpenPool(t.Context(), poolName)
	wants(t, "open one that is not active", err, dm.ErrNotFound)
	noError(t, p.Deactivate(t.Context()))
	l.leavesNothing(t, "a name without a table", func(t *testing.T) {
		sh(t, "dmsetup create "+poolName+" --notable")
		p, err := l.ActivatePool(t.Context(), c)
		noError(t, err)
		deactivatePool(t, p)
	})
	l.leavesNothing(t, "somebody else's name without a table", func(t *testing.T) {
		sh(t, "dmsetup create "+poolName+" --notable --uuid THEIRS")
		defer sh(t, "dmsetup remove "+poolName)
		_, err := l.ActivatePool(t.Context(), c)
		wants(t, "activate", err, dm.ErrExists)
	})
	l.leavesNothing(t, "what is no pool", func(t *testing.T) {
		sh(t, "dmsetup create "+poolName+" --table '0 8 error'")
		defer sh(t, "dmsetup remove "+poolName)
		_, err := l.OpenPool(t.Context(), poolName)
		wants(t, "open", err, thin.ErrNoPool)
		_, err = l.ActivatePool(t.Context(), c)
		wants(t, "activate", err, dm.ErrExists)
	})
}

func (l *lab) notTwice(t *testing.T) {
	p := l.create(t, "twice", thin.Features{})
	defer l.remove(t, "twice")
	c := l.config("twice")
	link, renamed := l.path("link"), l.path("renamed")
	noError(t, os.Link(c.Metadata, link))
	defer os.Remove(link)
	second := func(t *testing.T, metadata, data string, f thin.Features) {
		t.Helper()
		d := thin.PoolConfig{Name: "second", Metadata: metadata, Data: data, Features: f}
		_, err := l.ActivatePool(t.Context(), d)
		wantsType[*thin.InUseError](t, "activate", err)
		wants(t, "activate", err, unix.EBUSY)
		_, err = l.CreatePool(t.Context(), thin.NewPool{PoolConfig: d, Destroy: true})
		if !f.ReadOnly {
			wantsType[*thin.InUseError](t, "create", err)
		}
	}
	data := newFile(t, l.dir, "data", 64*mib)
	defer os.Remove(data)
	l.leavesNothing(t, "another name", func(t *testing.T) { second(t, c.Metadata, c.Data, thin.Features{}) })
	l.leavesNothing(t, "read-only", func(t *testing.T) { second(t, c.Metadata, data, thin.Features{ReadOnly: true}) })
	l.leavesNothing(t, "a hard link", func(t *testing.T) { second(t, link, data, thin.Features{}) })
	l.leavesNothing(t, "a file that was renamed", func(t *testing.T) {
		noError(t, os.Rename(c.Metadata, renamed))
		second(t, renamed, data, thin.Features{})
		noError(t, os.Rename(renamed, c.Metadata))
	})
	l.leavesNothing(t, "a loop device", func(t *testing.T) {
		device := attach(t, link)
		defer sh(t, "losetup -d "+device)
		second(t, device, data, thin.Features{})
	})
	l.leavesNothing(t, "the same data", func(t *testing.T) {
		metadata := l.path("metadata")
		sh(t, "cp "+c.Metadata+" "+metadata)
		defer os.Remove(metadata)
		second(t, metadata, c.Data, thin.Features{})
	})
	wantsType[*thin.InUseError](t, "check of an active pool", thin.CheckPool(t.Context(), link))
	deactivatePool(t, p)
	l.leavesNothing(t, "while it is active read-only", func(t *testing.T) {
		c := c
		c.ReadOnly = true
		p, err := l.ActivatePool(t.Context(), c)
		noError(t, err)
		second(t, c.Metadata, c.Data, thin.Features{})
		deactivatePool(t, p)
	})
}

func (l *lab) wrongHalf(t *testing.T) {
	deactivatePool(t, l.create(t, "half", thin.Features{}))
	defer l.remove(t, "half")
	c := l.config("half")
	fails := func(name string, c thin.PoolConfig, check func(t *testing.T, err error)) {
		t.Helper()
		l.leavesNothing(t, name, func(t *testing.T) {
			_, err := l.ActivatePool(t.Context(), c)
			if err == nil {
				t.Fatal("it was activated")
			}
			check(t, err)
		})
	}
	tooShort := func(path string, bytes, want int64) func(t *testing.T, err error) {
		return func(t *testing.T, err error) {
			t.Helper()
			if e := wantsType[*thin.TooShortError](t, "activate", err); e != nil && *e != (thin.TooShortError{Path: path, Bytes: bytes, Want: want}) {
				t.Errorf("%+v", e)
			}
		}
	}
	other := c
	other.BlockSectors = 256
	fails("another length of a block", other, func(t *testing.T, err error) {
		if !strings.Contains(err.Error(), "128 sectors") {
			t.Error(err)
		}
	})
	noError(t, os.Truncate(c.Data, 32*mib))
	fails("data too short", c, tooShort(c.Data, 32*mib, 64*mib))
	noError(t, os.Truncate(c.Data, 64*mib))
	noError(t, os.Truncate(c.Metadata, mib))
	fails("metadata too short", c, tooShort(c.Metadata, mib, 2*mib))
	noError(t, os.Truncate(c.Metadata, 2*mib))
	none := c
	none.Metadata = newFile(t, l.dir, "zeros", 2*mib)
	defer os.Remove(none.Metadata)
	fails("metadata that are zeros", none, func(t *testing.T, err error) {
		wants(t, "activate", err, pdata.ErrZeroed)
		text, err := os.ReadFile(none.Metadata)
		noError(t, err)
		if len(bytes.TrimLeft(text, "\x00")) > 0 {
			t.Error("the kernel has made a pool there")
		}
	})
	none.Metadata = l.path("missing")
	fails("no file", none, func(t *testing.T, err error) { wants(t, "activate", err, os.ErrNotExist) })
	none.Metadata = l.dir
	fails("a folder", none, func(t *testing.T, err error) { wants(t, "activate", err, unix.EISDIR) })
	none = c
	none.Name = strings.Repeat("n", 200)
	fails("a name too long", none, func(t *testing.T, err error) { wantsType[*dm.NameError](t, "activate", err) })
	none.Name = "a\nb"
	fails("a name of odd bytes", none, func(t *testing.T, err error) { wantsType[*dm.NameError](t, "activate", err) })
}

func (l *lab) busy(t *testing.T) {
	p := l.create(t, "busy", thin.Features{})
	defer l.remove(t, "busy")
	noError(t, p.CreateDevice(t.Context(), 1))
	_, err := p.ActivateDevice(t.Context(), thin.Activation{Name: "volume", ID: 1, SizeBytes: volumeBytes})
	noError(t, err)
	ctx, cancel := briefly(t)
	defer cancel()
	wants(t, "deactivate", p.Deactivate(ctx), dm.ErrInUse)
	statusAgrees(t, p)
	_, err = l.RemoveDevice(t.Context(), "volume", false, dm.Hidden)
	noError(t, err)
	deactivatePool(t, p)
}

func (l *lab) checked(t *testing.T) {
	deactivatePool(t, l.create(t, "checked", thin.Features{}))
	defer l.remove(t, "checked")
	c := l.config("checked")
	noError(t, thin.CheckPool(t.Context(), c.Metadata))
	// The bitmap of the data is of no use to a reader, and yet checked.
	sh(t, "dd status=none conv=notrunc bs=4096 count=1 seek=2 if=/dev/zero of="+c.Metadata)
	found := wantsType[*thin.CheckError](t, "of damaged metadata", thin.CheckPool(t.Context(), c.Metadata))
	if found != nil && (found.Metadata != c.Metadata || found.Report == "") {
		t.Errorf("%+v", found)
	}
}
