package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"thintree/tests/pools"
	"thintree/thin"
)

const (
	crowdVolumes = 300
	crowdActive  = 8
	crowdWalkers = 50
	crowdVisits  = 1 // of each volume
)

// TestCrowdInMoreVolumesThanMayBeActive walks many volumes at once, and counts how many of
// them are active.
func TestCrowdInMoreVolumesThanMayBeActive(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		begin := time.Now()
		c := newCrowd(t, newPool(t, t.TempDir()), crowdVolumes)
		t.Logf("made %d volumes in %v", crowdVolumes, time.Since(begin).Round(time.Millisecond))
		before := kernelState(t)
		mnt := mountTree(t, append([]string{"--idle", "1s", "--max-active", fmt.Sprint(crowdActive)}, c.source...)...)

		var visits []int
		for range crowdVisits {
			visits = append(visits, rand.Perm(crowdVolumes)...)
		}
		begin = time.Now()
		var next atomic.Int64
		var walkers sync.WaitGroup
		for range crowdWalkers {
			walkers.Go(func() {
				for n := int(next.Add(1)) - 1; n < len(visits); n = int(next.Add(1)) - 1 {
					if err := c.holds(mnt, visits[n]); err != nil {
						t.Error(err)
					}
				}
			})
		}
		stop := make(chan struct{})
		counted := make(chan []int)
		go func() { counted <- countLent(t, stop) }()
		walkers.Wait()
		took := time.Since(begin)
		close(stop)
		counts := <-counted
		var told struct {
			Opens int `json:"opens_total"`
		}
		noError(t, json.Unmarshal(must(os.ReadFile(mnt+"/pools/pool.json")), &told))
		t.Logf("%d visits in %v, by %d opens; of %d looks at how many are active: %v", len(visits), took.Round(time.Millisecond), told.Opens, len(counts), tally(counts))
		if most := slices.Max(counts); most > crowdActive {
			t.Errorf("%d were active at once, with --max-active %d", most, crowdActive)
		}
		within(t, seconds, "nothing is left", func() error { return sameState(t, before) })
	})
}

// countLent counts how many devices are active for a tree, again and again.
func countLent(t *testing.T, stop <-chan struct{}) (counts []int) {
	for {
		select {
		case <-stop:
			return counts
		case <-time.After(2 * time.Millisecond):
		}
		counts = append(counts, lentNow(t))
	}
}

// lentNow counts the devices that are active for trees.
func lentNow(t *testing.T) (n int) {
	list, err := must(kernelThings()).DM().List(t.Context())
	if err != nil {
		t.Error(err)
	}
	for _, d := range list {
		if strings.HasPrefix(d.Name, lentPrefix) {
			n++
		}
	}
	return n
}

// noneLent is an error if a device is active for a tree.
func noneLent(t *testing.T) error {
	if n := lentNow(t); n > 0 {
		return fmt.Errorf("%d devices are active", n)
	}
	return nil
}

// tally counts how often each number is there.
func tally(counts []int) map[int]int {
	times := map[int]int{}
	for _, n := range counts {
		times[n]++
	}
	return times
}

// holds fails unless a volume has all that it was given.
func (c *crowd) holds(mnt string, n int) error {
	name := fmt.Sprintf("v%d", n)
	dir := filepath.Join(mnt, "volumes", name)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) != 3 {
		return fmt.Errorf("%s has %v", dir, entries)
	}
	text, err := os.ReadFile(dir + "/which")
	if err == nil && string(text) != crowdText(name) {
		err = fmt.Errorf("%s/which: %d bytes, %.20q", dir, len(text), text)
	}
	if err != nil {
		return err
	}
	for file := range crowdFiles {
		text, err := os.ReadFile(fmt.Sprintf("%s/dir/%d", dir, file))
		if err == nil && string(text) != fileText(0, file, 0) {
			err = fmt.Errorf("%s/dir/%d: %d bytes, %.20q", dir, file, len(text), text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// crowd is a pool with many volumes that were made from one, v0 and so on. Each
// has a file with its name.
type crowd struct {
	*pool
	source []string
}

// crowdFiles are those that all volumes have, in dir.
const crowdFiles = 4

// crowdText is what the file "which" of a volume holds, and of the base "base".
func crowdText(volume string) string { return strings.Repeat(fmt.Sprintf("%-15s\n", volume), 256) }

// newCrowd makes them in a pool.
func newCrowd(t *testing.T, p *pool, volumes int) *crowd {
	t.Helper()
	c := &crowd{pool: p}
	const base = 1000
	c.create(t, base)
	device := c.activate(t, base)
	mnt := t.TempDir()
	sh(t, fmt.Sprintf("mkfs.ext4 -q %s && mount %[1]s %s && mkdir %[2]s/dir", device, mnt))
	noError(t, os.WriteFile(mnt+"/which", []byte(crowdText("base")), 0o644))
	for n := range crowdFiles {
		noError(t, os.WriteFile(fmt.Sprintf("%s/dir/%d", mnt, n), []byte(fileText(0, n, 0)), 0o644))
	}
	sh(t, "umount "+mnt)
	all, err := os.ReadFile(device)
	noError(t, err)
	at := int64(strings.Index(string(all), crowdText("base")))
	sh(t, "dmsetup remove "+filepath.Base(device))

	k, err := kernelThings()
	noError(t, err)
	active, err := k.OpenPool(t.Context(), "pool")
	noError(t, err)
	var names strings.Builder
	for n := range volumes {
		name := fmt.Sprintf("v%d", n)
		fmt.Fprintf(&names, "%d %d %s\n", n, volumeBytes/sectorBytes, name)
		noError(t, active.CreateSnapDevice(t.Context(), uint32(n), base))
		d, err := active.ActivateDevice(t.Context(), thin.Activation{Name: name, ID: uint32(n), SizeBytes: volumeBytes})
		noError(t, err)
		f, err := os.OpenFile(d.Path(), os.O_WRONLY, 0)
		noError(t, err)
		_, err = f.WriteAt([]byte(crowdText(name)), at)
		noError(t, errors.Join(err, f.Sync(), f.Close()))
		_, err = k.RemoveDevice(t.Context(), name, false, 0)
		noError(t, err)
	}
	c.source = []string{"--names", writeText(t, names.String()), "pool:" + c.metadataFile + "," + c.dataFile}
	return c
}

// unchanged fails if run changes the pool: what the kernel says of it without a commit, or
// any byte of its files.
func (c *crowd) unchanged(t *testing.T, run func()) {
	t.Helper()
	state := func() string {
		return sh(t, "sync; dmsetup status --noflush; dmsetup table") + must(pools.Hash(filepath.Dir(c.metadataFile)))
	}
	before := state()
	run()
	if now := state(); now != before {
		t.Errorf("the pool is\n%s\nand was\n%s", now, before)
	}
}

// off deactivates the pool.
func (c *crowd) off(t *testing.T) {
	t.Helper()
	sh(t, "dmsetup remove pool; losetup -d "+c.metadata+" "+c.data)
}
