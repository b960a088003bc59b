package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"thintree/thin"
	"thintree/thin/block"
	"thintree/thin/lend"
	"thintree/volfs"
	"thintree/volfs/kernelfs"
)

// fsynced are the files that each volume of TestStatesOfVolumes has in synced,
// written and synced just before it was torn away.
const fsynced = 200

// tornVolumes are volumes that were never unmounted.
var tornVolumes = []struct{ name, mkfs string }{
	{"ext4", "mkfs.ext4 -q"},
	{"xfs", "mkfs.xfs -q"},
	{"btrfs", "mkfs.btrfs -q"},
}

// TestStatesOfVolumes reads volumes by the kernel engine that are dirty,
// partitioned, or written to by a process, and fails if that changes the pool.
func TestStatesOfVolumes(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		p := newPool(t, t.TempDir())
		var names strings.Builder
		for id, v := range tornVolumes {
			fmt.Fprintln(&names, id, engineSectors, v.name)
			tear(t, p, id, v.mkfs)
		}
		const partitioned, busy = 10, 11
		partition(t, p, partitioned)
		fmt.Fprintf(&names, "%d %d disk\n%d %d busy\n", partitioned, engineSectors, busy, engineSectors)
		source := []string{"--engine", "kernel", "--names", writeText(t, names.String()), "pool:" + p.metadataFile + "," + p.dataFile}
		before := kernelState(t)

		t.Run("a journal is replayed", func(t *testing.T) {
			mnt := mountTree(t, append([]string{"--idle", "1s"}, source...)...)
			for _, v := range tornVolumes {
				if n := countSynced(t, filepath.Join(mnt, "volumes", v.name)); n != fsynced {
					t.Errorf("%s shows %d of %d files that were synced", v.name, n, fsynced)
				}
			}
			within(t, seconds, "nothing is left", func() error { return sameState(t, before) })
		})
		t.Run("a journal is skipped", func(t *testing.T) {
			mnt := mountTree(t, append([]string{"--journal", "skip", "--idle", "1s"}, source...)...)
			older := 0
			for _, v := range tornVolumes {
				if countSynced(t, filepath.Join(mnt, "volumes", v.name)) < fsynced {
					older++
				}
			}
			if older == 0 {
				t.Error("no volume is older on the disk than in its journal: this tests nothing")
			}
			within(t, seconds, "nothing is left", func() error { return sameState(t, before) })
		})
		t.Run("partitions", func(t *testing.T) {
			mnt := mountTree(t, append([]string{"--idle", "1s"}, source...)...)
			for _, part := range []string{"p1", "p2"} {
				text, err := os.ReadFile(filepath.Join(mnt, "volumes/disk", part, "file"))
				if err != nil || string(text) != part+"\n" {
					t.Errorf("%s: %q, %v", part, text, err)
				}
			}
			within(t, seconds, "nothing is left", func() error { return sameState(t, before) })
		})
		t.Run("a device that is taken back", func(t *testing.T) { takenBack(t, p) })
		t.Run("a temporary snapshot", func(t *testing.T) { temporarySnapshots(t, p, busy, source) })
	})
}

// tear makes a volume that is as a crash leaves it, with files that were synced.
func tear(t *testing.T, p *pool, id int, mkfs string) {
	t.Helper()
	const live = 100 // the device that it is torn from
	p.create(t, live)
	sh(t, fmt.Sprintf(`
dmsetup create live --table '0 %d thin /dev/mapper/pool %d'
%s /dev/mapper/live; mkdir -p /mnt/live; mount /dev/mapper/live /mnt/live
mkdir /mnt/live/synced; sync -f /mnt/live`, engineSectors, live, mkfs))
	for n := range fsynced {
		noError(t, writeSynced(fmt.Sprintf("/mnt/live/synced/%d", n)))
	}
	// What is not written yet is not in it: no suspend with a freeze.
	sh(t, fmt.Sprintf(`
dmsetup suspend --nolockfs live; dmsetup message pool 0 'create_snap %d %d'; dmsetup resume live
umount /mnt/live; dmsetup remove live; dmsetup message pool 0 'delete %[2]d'`, id, live))
}

// countSynced counts the files that were synced and are whole.
func countSynced(t *testing.T, dir string) (whole int) {
	t.Helper()
	if _, err := os.ReadDir(dir); err != nil {
		t.Error(err)
	}
	for n := range fsynced {
		if text, err := os.ReadFile(fmt.Sprintf("%s/synced/%d", dir, n)); err == nil && len(text) > 0 {
			whole++
		}
	}
	return whole
}

// partition makes a volume with two partitions, each with a file that holds its
// name.
func partition(t *testing.T, p *pool, id int) {
	t.Helper()
	p.create(t, id)
	sh(t, fmt.Sprintf(`
dmsetup create disk --table '0 %d thin /dev/mapper/pool %d'
printf '2048,81920\n,,\n' | sfdisk -q --no-reread --no-tell-kernel /dev/mapper/disk
mkdir -p /mnt/part
make() {
	dmsetup create part --table "0 $2 linear /dev/mapper/disk $1"
	$4 /dev/mapper/part; mount /dev/mapper/part /mnt/part; echo $3 >/mnt/part/file
	umount /mnt/part; dmsetup remove part
}
make 2048 81920 p1 'mkfs.ext4 -q'
make 83968 $((%[1]d-83968)) p2 'mkfs.xfs -q'
dmsetup remove disk`, engineSectors, id))
}

// temporarySnapshots reads a volume that is in use by snapshots, and kills the processes that
// have made them.
func temporarySnapshots(t *testing.T, p *pool, id int, source []string) {
	p.create(t, id)
	sh(t, fmt.Sprintf(`
dmsetup create busy --table '0 %d thin /dev/mapper/pool %d'
mkfs.ext4 -q /dev/mapper/busy; mkdir -p /mnt/busy; mount /dev/mapper/busy /mnt/busy; sync`, engineSectors, id))
	noError(t, writeSynced("/mnt/busy/first"))
	devices := func() string { return devicesOf(t, p) }
	had := devices()
	source = append([]string{"--live", "snapshot", "--idle", "3s"}, source...)
	mount := func() (mnt string) { // by a daemon that is killed
		mnt = t.TempDir()
		_, err := thintree(append(append([]string{"mount"}, source...), mnt)...)
		noError(t, err)
		return mnt
	}
	mnt := mount()
	open := func(name string) *os.File { // the volume stays open as long
		t.Helper()
		f, err := os.Open(mnt + "/volumes/busy/" + name)
		noError(t, err)
		return f
	}
	first := open("first")
	if !strings.Contains(devices(), "16777215") {
		t.Error("there is no snapshot with the highest id: ", devices())
	}
	if info := sh(t, "cat "+mnt+"/info/busy.json"); !strings.Contains(info, `"live_shown": "snapshot"`) {
		t.Errorf("info does not tell of the snapshot: %s", info)
	}
	noError(t, writeSynced("/mnt/busy/second"))
	if _, err := os.Stat(mnt + "/volumes/busy/second"); err == nil {
		t.Error("a picture of before shows what was written since")
	}
	noError(t, first.Close())
	gone := func() error {
		if now := devices(); now != had {
			return fmt.Errorf("the pool has %q, had %q", now, had)
		}
		return nil
	}
	within(t, seconds, "an idle volume's snapshot is deleted", gone)

	defer open("second").Close()
	daemon := server(t, mnt)
	noError(t, syscall.Kill(daemon, syscall.SIGKILL))
	within(t, seconds, "the snapshot of who was killed is deleted", gone)

	mnt = mount()
	defer open("second").Close()
	daemon = server(t, mnt)
	sh(t, fmt.Sprintf("pkill -KILL -f '^thintree-(guard|watchdog)'; kill -KILL %d", daemon)) // nobody is there to delete it
	time.Sleep(time.Second)
	if gone() == nil {
		t.Error("a snapshot is deleted with nobody there to do it: this tests nothing")
	}
	sh(t, "umount -l "+mnt)
	mountTree(t, source...)
	within(t, seconds, "the next one deletes it", gone)
	sh(t, "umount /mnt/busy; dmsetup remove busy")
}

// takenBack takes a lent device back while a file on it is open.
func takenBack(t *testing.T, p *pool) {
	const id = 20
	p.create(t, id)
	sh(t, fmt.Sprintf(`
dmsetup create taken --table '0 %d thin /dev/mapper/pool %d'
mkfs.ext4 -q /dev/mapper/taken; mkdir -p /mnt/taken; mount /dev/mapper/taken /mnt/taken
head -c 8M /dev/urandom >/mnt/taken/file; umount /mnt/taken; dmsetup remove taken`, engineSectors, id))
	k, err := thin.OpenKernel()
	noError(t, err)
	l := lend.New(k)
	defer l.Close()
	loan, err := l.Lend(t.Context(), lend.Request{
		Metadata: block.At(p.metadataFile), Data: block.At(p.dataFile), ID: id, SizeBytes: engineSectors * sectorBytes,
	})
	noError(t, err)
	lent := func() (names []string) {
		loans, err := l.Lent(t.Context(), block.At(p.metadataFile), id)
		noError(t, err)
		for _, l := range loans {
			names = append(names, l.Name())
		}
		return names
	}
	if names := lent(); !slices.Equal(names, []string{loan.Name()}) {
		t.Errorf("lent: %v, want %s", names, loan.Name())
	}
	fs, err := kernelfs.Open(loan.File(), volfs.Info{Type: "ext4"}, volfs.JournalSkip)
	noError(t, err)
	loan.LetGo()
	ino, err := fs.Lookup(t.Context(), fs.Root(), "file")
	noError(t, err)
	file, err := fs.Open(t.Context(), ino)
	noError(t, err)
	buf := make([]byte, 4096)
	_, err = file.ReadAt(t.Context(), buf, 0)
	noError(t, err)
	noError(t, loan.Revoke(t.Context()))
	if names := lent(); len(names) > 0 {
		t.Errorf("lent after all was taken back: %v", names)
	}
	if _, err := file.ReadAt(t.Context(), buf, 7*mib); !errors.Is(err, syscall.EIO) {
		t.Errorf("what was not read before: %v", err)
	}
	p.delete(t, id) // it is free
	noError(t, errors.Join(file.Close(), fs.Close(), loan.Close()))
	within(t, seconds, "it is gone", func() error {
		if names := sh(t, "dmsetup ls"); strings.Contains(names, "thintree-lent") {
			return errors.New(names)
		}
		return nil
	})
	noError(t, loan.Revoke(t.Context()))
}

// devicesOf lists the ids of the pool's devices.
func devicesOf(t *testing.T, p *pool) string {
	t.Helper()
	sh(t, "dmsetup message pool 0 reserve_metadata_snap")
	defer sh(t, "dmsetup message pool 0 release_metadata_snap")
	return sh(t, "thin_dump -m "+p.metadata+" --format human_readable --skip-mappings 2>/dev/null | grep ^device | cut -d, -f1 || true")
}
