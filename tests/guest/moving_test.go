package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// The volumes of the pool, and their snapshots that stay.
const (
	volumes     = 3
	snapshots   = 10  // of volume n: snapshots+n
	passing     = 100 // and above: snapshots of volume 1 that come and go
	churnRounds = 6
)

// TestTreeOfAPoolThatMoves reads a tree of a pool on files, as Docker keeps its pool,
// while the kernel writes, makes snapshots and deletes them. Then the pool is
// deactivated, activated again, and deactivated again.
func TestTreeOfAPoolThatMoves(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		p := newPool(t, mounted(t, loop(t, filepath.Join(t.TempDir(), "image"), 768*mib)))
		var dirs [volumes + 1]string
		names := ""
		for n := 1; n <= volumes; n++ {
			p.create(t, n)
			dirs[n] = mounted(t, p.activate(t, n))
			writeFiles(t, dirs[n], n, 0)
			p.snapshot(t, snapshots+n, n)
			names += fmt.Sprintf("%d %d live-%d\n%d %d frozen-%d\n", n, volumeBytes/sectorBytes, n, snapshots+n, volumeBytes/sectorBytes, n)
		}
		source := []string{"--names", writeText(t, names), "pool:" + p.metadataFile + "," + p.dataFile}
		mnt := mountTree(t, append([]string{"--engine", "direct"}, source...)...)
		if err := poolIs(mnt, "live"); err != nil {
			t.Error(err)
		}

		stop, stopped := make(chan struct{}), make(chan error, 1)
		reads := 0
		go func() {
			for {
				select {
				case <-stop:
					stopped <- nil
					return
				default:
				}
				if err := readFrozen(mnt, source, reads); err != nil {
					stopped <- err
					return
				}
				reads++
			}
		}()
		for round := 1; round <= churnRounds; round++ {
			for n := 1; n <= volumes; n++ {
				writeFiles(t, dirs[n], n, round)
			}
			p.snapshot(t, passing+round, 1)
			if round > 1 {
				p.delete(t, passing+round-1)
			}
		}
		close(stop)
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
		t.Logf("read all snapshots %d times", reads)
		within(t, seconds, "the last snapshot shows, those before are gone", func() error {
			if !isShown(mnt, passing+churnRounds) || isShown(mnt, passing+churnRounds-1) {
				return errors.New("not so")
			}
			return holdsRound(fmt.Sprintf("%s/volumes/@%d", mnt, passing+churnRounds), 1, churnRounds)
		})

		deactivate(t, p, dirs[1:])
		becomes(t, mnt, "offline", churnRounds)
		p.attach(t)
		sh(t, "mount "+p.activate(t, 1)+" "+dirs[1])
		writeFiles(t, dirs[1], 1, 77)
		deactivate(t, p, dirs[1:2])
		becomes(t, mnt, "offline", 77)
	})
}

// readFrozen reads what stays as it is.
func readFrozen(mnt string, source []string, turn int) error {
	always := []int{1, 2, 3, snapshots + 1, snapshots + 2, snapshots + 3}
	if err := listed(mnt, always, passing); err != nil {
		return err
	}
	for n := 1; n <= volumes; n++ {
		if err := holdsRound(fmt.Sprintf("%s/volumes/frozen-%d", mnt, n), n, 0); err != nil {
			return err
		}
	}
	n, file := 1+turn%volumes, turn%filesOfVolume
	text, err := thintree(append(append([]string{"cat"}, source...), fmt.Sprintf("frozen-%d:/file-%d", n, file))...)
	if err != nil {
		return err
	}
	if string(text) != fileText(n, file, 0) {
		return fmt.Errorf("thintree cat: file %d of snapshot %d is another: %d bytes, %.40q", file, n, len(text), text)
	}
	return nil
}

// becomes waits until the tree knows a state of the pool, with a round of volume 1.
func becomes(t *testing.T, mnt, mode string, round int) {
	t.Helper()
	within(t, seconds, fmt.Sprintf("the pool is %s, and volume 1 holds round %d", mode, round), func() error {
		if err := poolIs(mnt, mode); err != nil {
			return err
		}
		return holdsRound(mnt+"/volumes/live-1", 1, round)
	})
	if err := holdsRound(mnt+"/volumes/frozen-1", 1, 0); err != nil {
		t.Error(err)
	}
}

// deactivate takes down the mounts of the first volumes, and the pool with its
// loop devices.
func deactivate(t *testing.T, p *pool, dirs []string) {
	t.Helper()
	for i, dir := range dirs {
		sh(t, fmt.Sprintf("umount %s && dmsetup remove thin-%d", dir, i+1))
	}
	sh(t, "dmsetup remove pool && losetup --detach "+p.metadata+" && losetup --detach "+p.data)
}

// writeText is a new file with a text.
func writeText(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
