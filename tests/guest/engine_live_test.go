package guest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"thintree/thin"
	"thintree/thin/dm"
)

// owner has a volume in use, as a container has: active, mounted, written to.
type owner struct {
	pool *thin.Pool
	mnt  string

	busy    map[string]int // how often a step of theirs had to be tried again
	longest map[string]time.Duration
}

const owned = 2 // the volume's id in a crowd, and its name v2

func TestVolumeOfAnOwner(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		c := newCrowd(t, newPool(t, t.TempDir()), 4)
		before := things(t)
		o := &owner{pool: must(must(kernelThings()).OpenPool(t.Context(), "pool")), mnt: t.TempDir(), busy: map[string]int{}, longest: map[string]time.Duration{}}
		tree := func(t *testing.T, args ...string) string {
			return mountTree(t, append(append([]string{"--idle", "1s"}, args...), c.source...)...)
		}
		o.comes(t)
		for live, text := range map[string]string{"auto": "bind", "bind": "bind", "snapshot": "snapshot", "disk": "disk"} {
			t.Run("shown by "+live, func(t *testing.T) {
				mnt := tree(t, "--live", live)
				o.writes(t, live)
				file := live
				if live == "disk" {
					file = "v2" // what was synced lies in the journal
				}
				shows(t, mnt, file, text)
				if text != "bind" {
					return
				}
				for n := range 20 { // at once
					o.writes(t, fmt.Sprint(live, n))
					if got, err := os.ReadFile(mnt + "/volumes/v2/" + fmt.Sprint(live, n)); err != nil || len(got) == 0 {
						t.Fatalf("what was written just now: %q, %v", got, err)
					}
				}
			})
		}
		t.Run("skipped", func(t *testing.T) {
			mnt := tree(t, "--live", "skip")
			_, err := os.ReadDir(mnt + "/volumes/v2")
			wants(t, "a volume in use", err, syscall.EBUSY)
			noError(t, c.holds(mnt, 1))
			if info := sh(t, "cat "+mnt+"/info/v2.json"); !strings.Contains(info, `"live_shown": "skip"`) {
				t.Error(info)
			}
		})
		o.goes(t)
		for _, live := range []string{"auto", "snapshot"} {
			t.Run("comes and goes, shown by "+live, func(t *testing.T) { o.isFree(t, tree(t, "--live", live), 12) })
		}
		t.Run("is deleted", func(t *testing.T) { o.deletes(t, tree(t)) })
		within(t, seconds, "nothing is left", func() error {
			if now := things(t); !slices.Equal(now, before) {
				return fmt.Errorf("there is %q, before was %q", now, before)
			}
			return nil
		})
	})
}

// shows fails unless a tree shows a file that was synced, and how.
func shows(t *testing.T, mnt, file, how string) {
	t.Helper()
	within(t, seconds, "what was synced shows", func() error {
		name := file
		if file == "v2" {
			name = "which"
		}
		text, err := os.ReadFile(filepath.Join(mnt, "volumes/v2", name))
		if err == nil && string(text) != crowdText(file) {
			err = fmt.Errorf("it holds %d bytes, %.20q", len(text), text)
		}
		return err
	})
	// For a moment by a snapshot, if it was looked at while its mount was under way.
	within(t, seconds, "it is shown by "+how, func() error {
		f, err := os.Open(filepath.Join(mnt, "volumes/v2", "which")) // what is looked at is looked for anew, and stays open
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := os.ReadFile(mnt + "/info/v2.json")
		if err == nil && !strings.Contains(string(info), fmt.Sprintf(`"live_shown": %q`, how)) {
			err = errors.New(string(info))
		}
		return err
	})
}

// step does something that may be refused because the volume is busy, and counts
// that.
func (o *owner) step(t *testing.T, what string, do func() error) {
	t.Helper()
	begin := time.Now()
	within(t, seconds, what, func() error {
		err := do()
		if errors.Is(err, syscall.EBUSY) || errors.Is(err, thin.ErrActive) {
			o.busy[what]++
		} else {
			noError(t, err)
		}
		return err
	})
	o.longest[what] = max(o.longest[what], time.Since(begin))
}

func (o *owner) comes(t *testing.T) {
	t.Helper()
	o.step(t, "activate", func() error {
		d, err := o.pool.ActivateDevice(t.Context(), thin.Activation{Name: "owned", ID: owned, SizeBytes: volumeBytes})
		if err == nil {
			err = unix.Mount(d.Path(), o.mnt, "ext4", 0, "")
		}
		return err
	})
}

// writes writes a file and syncs it.
func (o *owner) writes(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(filepath.Join(o.mnt, name))
	noError(t, err)
	_, err = f.WriteString(crowdText(name))
	noError(t, errors.Join(err, f.Sync(), f.Close()))
}

func (o *owner) goes(t *testing.T) {
	t.Helper()
	o.step(t, "umount", func() error { return unix.Unmount(o.mnt, 0) })
	o.step(t, "remove", func() error {
		_, err := must(kernelThings()).DM().Remove(t.Context(), "owned", false, dm.Hidden)
		return err
	})
}

// isFree activates and frees the volume again and again, as its owner, while it is walked.
func (o *owner) isFree(t *testing.T, mnt string, rounds int) {
	// If it fails halfway.
	defer exec.Command("bash", "-c", "umount "+o.mnt+"; dmsetup remove --retry owned").Run()
	stop := make(chan struct{})
	var walkers sync.WaitGroup
	halt := sync.OnceFunc(func() { close(stop); walkers.Wait() })
	defer halt()
	var read atomic.Int64
	failed := map[string]int{}
	var mu sync.Mutex
	for range 3 {
		walkers.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(2 * time.Millisecond): // the owner has the same CPU
				}
				text, err := os.ReadFile(mnt + "/volumes/v2/which")
				switch {
				case err != nil:
					mu.Lock()
					failed[err.Error()]++
					mu.Unlock()
				case string(text) != crowdText("v2"):
					t.Errorf("it reads %d bytes, %.20q", len(text), text)
					return
				default:
					read.Add(1)
				}
				walk(mnt + "/volumes/v2/dir")
			}
		})
	}
	for round := range rounds {
		time.Sleep(30 * time.Millisecond) // for readers to walk what nobody has mounted
		o.comes(t)
		file := fmt.Sprint(filepath.Base(mnt), "-", round)
		o.writes(t, file)
		if strings.HasSuffix(t.Name(), "auto") {
			begin := time.Now()
			shows(t, mnt, file, "bind")
			o.longest["show"] = max(o.longest["show"], time.Since(begin))
		}
		o.goes(t)
	}
	noError(t, inTime(t, "the walkers' end", func() error { halt(); return nil }))
	for round := range rounds {
		file := fmt.Sprint(filepath.Base(mnt), "-", round)
		within(t, seconds, "all that was written shows", func() error {
			text, err := os.ReadFile(filepath.Join(mnt, "volumes/v2", file))
			if err == nil && string(text) != crowdText(file) {
				err = fmt.Errorf("%s: %d bytes, %.20q", file, len(text), text)
			}
			return err
		})
	}
	t.Logf("in %d rounds the owner was told %v times that it is busy, and had to wait %v at most; read %d times, failed %v", rounds, o.busy, o.longest, read.Load(), failed)
	clear(o.busy)
	clear(o.longest)
}

// deletes deletes the volume, as its owner, after it was read.
func (o *owner) deletes(t *testing.T, mnt string) {
	noError(t, walk(mnt+"/volumes/v2"))
	o.step(t, "delete", func() error { return o.pool.DeleteDevice(t.Context(), owned) })
	t.Logf("the owner was told %v times that it is busy, and had to wait %v", o.busy, o.longest)
	within(t, seconds, "it is gone", func() error {
		if _, err := os.Stat(mnt + "/volumes/v2/which"); err == nil {
			return errors.New("it is there")
		}
		return nil
	})
}
