package guest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// group is a thin pool whose halves are linear devices, as LVM makes them, and its volumes:
// e and x with a filesystem of either kind, and two snapshots of each.
type group struct {
	disk   string // the block device beneath
	source []string
}

const (
	groupVolume     = 400 * mib
	groupFiles      = 20
	groupFileLength = 30000
)

// groupIDs are the ids of the volumes.
var groupIDs = map[string]int{"e": 1, "x": 2, "e1": 3, "x1": 4, "e2": 5, "x2": 6}

func newGroup(t *testing.T) *group {
	t.Helper()
	g := &group{disk: loop(t, filepath.Join(t.TempDir(), "disk"), 600*mib)}
	g.activates(t)
	mnt := t.TempDir()
	for name, fstype := range map[string]string{"e": "ext4", "x": "xfs"} {
		id := groupIDs[name]
		sh(t, fmt.Sprintf(`
dmsetup message vg-pool-tpool 0 'create_thin %[1]d'
dmsetup create made --table '0 %[2]d thin /dev/mapper/vg-pool-tpool %[1]d'
mkfs.%[3]s -q /dev/mapper/made; mount /dev/mapper/made %[4]s
for n in $(seq %[5]d); do mkdir %[4]s/d$n; head -c %[6]d /dev/zero | tr '\0' $n >%[4]s/d$n/f; done
umount %[4]s; dmsetup remove made
dmsetup message vg-pool-tpool 0 'create_snap %[7]d %[1]d'; dmsetup message vg-pool-tpool 0 'create_snap %[8]d %[1]d'`,
			id, groupVolume/sectorBytes, fstype, mnt, groupFiles, groupFileLength, groupIDs[name+"1"], groupIDs[name+"2"]))
	}
	var names strings.Builder
	for name, id := range groupIDs {
		fmt.Fprintf(&names, "%d %d %s\n", id, groupVolume/sectorBytes, name)
	}
	g.source = []string{"--names", writeText(t, names.String()), "pool:/dev/mapper/vg-pool_tmeta,/dev/mapper/vg-pool_tdata"}
	return g
}

// activates activates the pool, and what it lies on: all of them, or those that are not active.
func (g *group) activates(t *testing.T) {
	t.Helper()
	sh(t, fmt.Sprintf(`
activate() { dmsetup info $1 >/dev/null 2>&1 || dmsetup create $1 --table "$2"; }
activate vg-pool_tmeta '0 16384 linear %s 0'
activate vg-pool_tdata '0 1048576 linear %[1]s 16384'
activate vg-pool-tpool '0 1048576 thin-pool /dev/mapper/vg-pool_tmeta /dev/mapper/vg-pool_tdata 128 0'`, g.disk))
}

// deactivates deactivates them, as LVM does: the pool at once, and what it lies on with some
// seconds of patience. It returns how long that took.
func (g *group) deactivates(t *testing.T) time.Duration {
	t.Helper()
	begin := time.Now()
	sh(t, "dmsetup remove vg-pool-tpool && dmsetup remove --retry vg-pool_tdata && dmsetup remove --retry vg-pool_tmeta")
	return time.Since(begin)
}

// deletes deletes a volume. Like an owner, it tries once.
func (g *group) deletes(t *testing.T, name string) error {
	out, err := exec.Command("dmsetup", "message", "vg-pool-tpool", "0", fmt.Sprintf("delete %d", groupIDs[name])).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("deleting %s: %w: %s", name, err, out)
	}
	return err
}

// groupRead reads all files of a volume.
func groupRead(mnt, name string) error {
	for n := 1; n <= groupFiles; n++ {
		text, err := os.ReadFile(fmt.Sprintf("%s/volumes/%s/d%d/f", mnt, name, n))
		if err != nil {
			return err
		}
		if len(text) != groupFileLength || strings.Trim(string(text), fmt.Sprint(n)[:1]) != "" {
			return fmt.Errorf("%s: file %d holds %d bytes, %.20q", name, n, len(text), text)
		}
	}
	return nil
}

func TestOwnerOfAPoolIsNotDisturbed(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		g := newGroup(t)
		mnt := mountTree(t, g.source...)
		t.Run("by a mount that nobody asks", func(t *testing.T) {
			for name := range groupIDs {
				noError(t, groupRead(mnt, name))
			}
			time.Sleep(2 * time.Second)
			activate := restorer(t, func() { g.activates(t) })
			took := g.deactivates(t)
			if took > time.Second {
				t.Errorf("the owner had to wait %v", took)
			}
			for _, name := range []string{"e", "x"} {
				for _, dir := range []string{"volumes/" + name, "volumes/" + name + "/d1"} {
					entries, err := os.ReadDir(filepath.Join(mnt, dir))
					if !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ESTALE) {
						t.Errorf("%s of a pool that is not there: %d entries, %v", dir, len(entries), err)
					}
				}
			}
			activate()
			for name := range groupIDs {
				within(t, seconds, "all is there again", func() error { return groupRead(mnt, name) })
			}
		})
		stop := make(chan struct{})
		var walkers sync.WaitGroup
		for range 2 {
			walkers.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					exec.Command("bash", "-c", "find "+mnt+"/volumes -type f -print0 | xargs -0 cat >/dev/null; echo 3 >/proc/sys/vm/drop_caches").Run()
				}
			})
		}
		halt := sync.OnceFunc(func() { close(stop); walkers.Wait() })
		defer halt()
		t.Run("by walkers", func(t *testing.T) {
			for _, name := range []string{"e1", "x1", "e2", "x2"} {
				time.Sleep(300 * time.Millisecond)
				if err := g.deletes(t, name); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(300 * time.Millisecond)
			activate := restorer(t, func() { g.activates(t) })
			if took := g.deactivates(t); took > 4*time.Second {
				t.Errorf("the owner had to wait %v to deactivate the pool", took)
			}
			activate()
		})
		halt()
		for _, name := range []string{"e", "x"} {
			within(t, seconds, "all is there again", func() error { return groupRead(mnt, name) })
		}
	})
}

// TestReaderOfASuspendedPoolIsKillable reads a volume that its owner has mounted, from a pool
// that is suspended: what is asked of that mount waits in the kernel.
func TestReaderOfASuspendedPoolIsKillable(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		g := newGroup(t)
		theirs := t.TempDir()
		sh(t, fmt.Sprintf("dmsetup create x --table '0 %d thin /dev/mapper/vg-pool-tpool %d'; mount /dev/mapper/x %s", groupVolume/sectorBytes, groupIDs["x"], theirs))
		defer sh(t, "umount "+theirs+"; dmsetup remove x")
		const patience = 4 * time.Second
		mnt := mountTree(t, append([]string{"--open-timeout", patience.String()}, g.source...)...)
		_, err := os.ReadDir(mnt + "/volumes/x")
		noError(t, err)
		sh(t, "echo 3 >/proc/sys/vm/drop_caches; dmsetup suspend --noflush --nolockfs vg-pool-tpool")
		resume := sync.OnceFunc(func() { sh(t, "dmsetup resume vg-pool-tpool") })
		defer resume()

		time.Sleep(1500 * time.Millisecond) // for the kernel to forget the names above the volume
		killed := exec.Command("ls", "-lR", mnt+"/volumes/x")
		noError(t, killed.Start())
		time.Sleep(time.Second) // for it to wait
		noError(t, killed.Process.Kill())
		begin := time.Now()
		if err := inTime(t, "the reader that was killed", killed.Wait); err == nil {
			t.Error("it ended by itself")
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("it ended %v after it was killed", took)
		}

		begin = time.Now()
		_, err = os.ReadFile(mnt + "/volumes/x/d7/f")
		wants(t, "a file of a suspended pool", err, syscall.EIO)
		if took := time.Since(begin); took < patience/2 || took > patience+5*time.Second {
			t.Errorf("a reader waited %v, with --open-timeout %v", took, patience)
		}
		resume()
		within(t, seconds, "all is there again", func() error { return groupRead(mnt, "x") })
	})
}
