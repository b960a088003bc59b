package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	faultVolumes = 24
	faultMiB     = 64 // of the data
)

// faulty is a pool on devices whose tables can be changed, with a tree of it, and
// another pool with a tree of its own.
type faulty struct {
	*crowd
	mnt   string
	other *crowd
	there string // the other's tree
	next  int    // a volume that nobody has looked at yet
}

// TestPoolThatFails breaks whatever can break beneath an active pool. Readers must get an
// error and no lie, in time, and all must be right when the fault is removed. Each subtest
// puts back what it changed, also if it fails.
func TestPoolThatFails(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		f := newFaulty(t)
		f.run(t, "its data cannot be read", func(t *testing.T) {
			mend := f.lies(t, "data", "error")
			f.fails(t)
			// It stays open, as it does while people ask for it again and again.
			defer f.open(t, "raw/v%d.img", f.next-1).Close()
			mend()
			f.recovers(t)
		})
		f.run(t, "its data come late", func(t *testing.T) {
			mend := f.lies(t, "data", "delay", " 20")
			f.recovers(t) // what is there, is right
			mend()
		})
		f.run(t, "its data come and go", func(t *testing.T) {
			mend := f.lies(t, "data", "flakey", " 1 1") // seconds
			read, failed := 0, 0
			for begin := time.Now(); time.Since(begin) < 4*time.Second; time.Sleep(50 * time.Millisecond) {
				err := inTime(t, "a volume", func() error { return f.holds(f.mnt, f.next-1) })
				if err == nil {
					read++
				} else if failed++; !isErrno(err) {
					t.Fatal(err)
				}
				sh(t, "echo 3 >/proc/sys/vm/drop_caches")
			}
			t.Logf("read %d times, failed %d times", read, failed)
			mend()
			f.recovers(t)
		})
		f.run(t, "its metadata cannot be read", func(t *testing.T) {
			activate := restorer(t, func() {
				within(t, seconds, "its owner deactivates it", func() error { return exec.Command("dmsetup", "remove", "pool").Run() })
				f.load(t)
			})
			sh(t, "dmsetup message pool 0 'create_thin 4999'") // what that reads is in memory then
			mend := f.lies(t, "metadata", "error")
			exec.Command("dmsetup", "message", "pool", "0", "create_thin 5000").Run() // so that it is noticed
			if s := sh(t, "dmsetup status --noflush pool"); !strings.Contains(s, "Fail") {
				t.Fatalf("the pool has not failed: %s", s)
			}
			f.fails(t)
			mend()
			activate()
			f.recovers(t)
		})
		f.run(t, "it is replaced by errors", func(t *testing.T) {
			table := strings.TrimSpace(sh(t, "dmsetup table pool"))
			f.reads(t)
			sh(t, "dmsetup message pool 0 'create_thin 4998'; dmsetup create user --table '0 1024 thin /dev/mapper/pool 4998'")
			load := restorer(t, func() {
				sh(t, "dmsetup load pool --table '"+table+"'; dmsetup resume pool; dmsetup remove user")
			})
			exec.Command("dmsetup", "remove", "--force", "pool").Run() // fails, but puts errors in its place
			// What this process reads of the pool's halves is there all the same.
			f.readsOnceInactive(t, 2)
			f.lists(t)
			load()
			f.recovers(t)
		})
		f.run(t, "it is suspended", f.suspended)
		f.run(t, "its metadata snapshot is another's", func(t *testing.T) {
			sh(t, "dmsetup message pool 0 reserve_metadata_snap")
			release := restorer(t, func() { sh(t, "dmsetup message pool 0 release_metadata_snap") })
			f.recovers(t)
			release()
		})
		f.run(t, "it is read-only", func(t *testing.T) {
			restore := f.features(t, "1 read_only")
			f.recovers(t)
			restore()
		})
		f.run(t, "its data are full", f.full)
		f.run(t, "another goes as somebody comes", f.goes)
		f.run(t, "nothing is left", func(t *testing.T) {
			within(t, seconds, "nothing is left", func() error { return noneLent(t) })
		})
	})
}

// run runs a subtest. The next one finds a pool that can be read, also if this one fails.
func (f *faulty) run(t *testing.T, name string, body func(*testing.T)) {
	t.Run(name, func(t *testing.T) {
		t.Cleanup(func() { // the last cleanup
			if t.Failed() {
				f.waitUntilAllRead(t)
			}
		})
		body(t)
	})
}

// restorer returns a function that restores something. It works once: if the test does not call it,
// the test's cleanup does.
func restorer(t *testing.T, restore func()) func() {
	done := false
	once := func() {
		if !done {
			done = true
			restore()
		}
	}
	t.Cleanup(once)
	return once
}

func newFaulty(t *testing.T) *faulty {
	t.Helper()
	f := &faulty{other: newCrowd(t, newPool(t, t.TempDir()), 4)}
	f.other.off(t)
	for name, size := range map[string]int{"metadata": 4, "data": faultMiB} {
		device := loop(t, filepath.Join(t.TempDir(), name), int64(size)*mib)
		sh(t, fmt.Sprintf("dmsetup create %s --table '0 %d linear %s 0'", name, size*mib/sectorBytes, device))
	}
	p := &pool{metadata: "/dev/mapper/metadata", metadataFile: "/dev/mapper/metadata", data: "/dev/mapper/data", dataFile: "/dev/mapper/data"}
	p.load(t)
	f.crowd = newCrowd(t, p, faultVolumes)
	f.mnt = mountTree(t, append([]string{"--idle", "1s"}, f.source...)...)
	f.there = mountTree(t, append([]string{"--idle", "1s", "--engine", "kernel"}, f.other.source...)...)
	f.reads(t)
	return f
}

// lies puts a target beneath a half of the pool, such as error. The arguments of a target that
// takes more than the place of the half stand in more. mend puts the half back where it lay.
func (f *faulty) lies(t *testing.T, half, target string, more ...any) (mend func()) {
	t.Helper()
	var start, length, number int
	var had, at string
	if n, _ := fmt.Sscan(sh(t, "dmsetup table "+half), &start, &length, &had, &at, &number); n != 5 || had != "linear" {
		t.Fatalf("%s is no linear device, but %s", half, had)
	}
	place := fmt.Sprint(at, " ", number)
	load := func(target string) {
		t.Helper()
		sh(t, fmt.Sprintf("dmsetup suspend --nolockfs --noflush %s; dmsetup load %[1]s --table '0 %d %s'; dmsetup resume %[1]s", half, length, target))
	}
	mend = restorer(t, func() { load("linear " + place) })
	if target != "error" {
		target += " " + place + fmt.Sprint(more...)
	}
	load(target)
	return mend
}

// features gives the pool other features, written as in its table. restore takes them back.
func (f *faulty) features(t *testing.T, features string) (restore func()) {
	t.Helper()
	load := func(features string) {
		t.Helper()
		sh(t, fmt.Sprintf("dmsetup load pool --table '0 %d thin-pool %s %s 128 0 %s'; dmsetup suspend pool; dmsetup resume pool",
			faultMiB*mib/sectorBytes, f.metadata, f.data, features))
	}
	restore = restorer(t, func() { load("0") })
	load(features)
	return restore
}

// fresh is a volume that nobody has looked at.
func (f *faulty) fresh() int {
	f.next++
	return f.next - 1
}

// open opens a file of the tree.
func (f *faulty) open(t *testing.T, path string, volume int) *os.File {
	t.Helper()
	return must(os.Open(filepath.Join(f.mnt, fmt.Sprintf(path, volume))))
}

// inTime fails if something takes too long, and returns its error.
func inTime(t *testing.T, what string, do func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-time.After(seconds):
		t.Fatalf("%s: no answer after %v", what, seconds)
		return nil
	}
}

// reads fails unless a volume that nobody has looked at can be read.
func (f *faulty) reads(t *testing.T) {
	t.Helper()
	noError(t, inTime(t, "a new volume", func() error { return f.holds(f.mnt, f.fresh()) }))
}

// nameKept is longer than the kernel keeps the name of a volume: a second, and what timers
// of the guest are late.
const nameKept = 1200 * time.Millisecond

// readsOnceInactive fails unless volumes that nobody has looked at can be read, just after the
// pool has become inactive. Its volumes have other identities since. What was looked up in the
// instant before fails with ESTALE, and a new lookup finds it: once the kernel no longer keeps
// the name. So one look may fail so, and the next look at the same volume must not.
func (f *faulty) readsOnceInactive(t *testing.T, volumes int) {
	t.Helper()
	mayBeStale := true
	for range volumes {
		n := f.fresh()
		look := func() error { return inTime(t, "a volume", func() error { return f.holds(f.mnt, n) }) }
		err := look()
		if mayBeStale && errors.Is(err, syscall.ESTALE) {
			t.Log("looked up while the pool became inactive: ", err)
			mayBeStale = false
			time.Sleep(nameKept)
			err = look()
		}
		noError(t, err)
	}
}

// fails fails unless the pool's volumes give errors, and nothing that is not true,
// while the other pool's can be read.
func (f *faulty) fails(t *testing.T) {
	t.Helper()
	begin := time.Now()
	err := inTime(t, "a new volume", func() error { return f.holds(f.mnt, f.fresh()) })
	if err == nil {
		t.Error("a volume that nobody has read is there all the same")
	} else if !isErrno(err) {
		t.Errorf("a volume that cannot be read: %v", err)
	}
	t.Logf("after %v: %v", time.Since(begin).Round(time.Millisecond), err)
	for n := range f.next { // of these something may be known
		err := inTime(t, "a volume that was read before", func() error { return f.holds(f.mnt, n) })
		if err != nil && !isErrno(err) {
			t.Error(err)
		}
	}
	f.lists(t)
}

// lists fails unless the lists show all volumes, and the other pool's can be read.
func (f *faulty) lists(t *testing.T) {
	t.Helper()
	noError(t, inTime(t, "the list", func() error {
		entries, err := filepath.Glob(f.mnt + "/volumes/v*")
		if err == nil && len(entries) != faultVolumes {
			err = fmt.Errorf("%d volumes", len(entries))
		}
		return err
	}))
	for n := range 4 {
		noError(t, inTime(t, "the other pool", func() error { return f.other.holds(f.there, n) }))
	}
}

// isErrno reports whether an error is one of the kernel.
func isErrno(err error) bool {
	var path *fs.PathError
	var errno syscall.Errno
	return errors.As(err, &path) && errors.As(err, &errno)
}

// recovers fails unless all volumes that were ever looked at can be read soon, and
// one more, and stay what they are: a pool that is active again has others than when
// it was not.
func (f *faulty) recovers(t *testing.T) {
	t.Helper()
	f.fresh()
	begin := time.Now()
	f.waitUntilAllRead(t)
	t.Logf("all there again after %v", time.Since(begin).Round(time.Millisecond))
	f.lists(t)
}

// waitUntilAllRead waits until the tree shows an active pool, and all volumes that were ever
// looked at can be read.
func (f *faulty) waitUntilAllRead(t *testing.T) {
	t.Helper()
	within(t, seconds, "the tree has seen that the pool is active", func() error { return poolIs(f.mnt, "live") })
	for n := range f.next {
		within(t, seconds, "all is there again", func() error {
			return inTime(t, "a volume", func() error { return f.holds(f.mnt, n) })
		})
	}
}

// suspended suspends the pool, as its owner does to make it longer. What this process reads
// does not wait for the owner.
func (f *faulty) suspended(t *testing.T) {
	open := f.fresh() // beforehand, and not all of it read
	_, err := os.ReadDir(fmt.Sprintf("%s/volumes/v%d", f.mnt, open))
	noError(t, err)
	sh(t, "dmsetup suspend pool")
	resume := restorer(t, func() { sh(t, "dmsetup resume pool") })
	for _, n := range []int{open, f.fresh()} {
		if err := inTime(t, "a volume", func() error { return f.holds(f.mnt, n) }); err != nil {
			t.Error(err)
		}
	}
	f.lists(t)
	resume()
	f.recovers(t)
}

// full fills the pool's data.
func (f *faulty) full(t *testing.T) {
	const busy, greedy = 3000, 3001
	f.features(t, "1 error_if_no_space")
	f.create(t, busy)
	device := f.activate(t, busy)
	removeBusy := restorer(t, func() { sh(t, "dmsetup remove "+filepath.Base(device)) })
	sh(t, "mkfs.ext4 -q "+device)
	inUse, err := os.OpenFile(device, os.O_RDWR, 0)
	noError(t, err)
	defer inUse.Close()
	sh(t, fmt.Sprintf("dmsetup message pool 0 'create_thin %d'; dmsetup create greedy --table '0 %d thin /dev/mapper/pool %[1]d'", greedy, 2*faultMiB*mib/sectorBytes))
	removeGreedy := restorer(t, func() {
		sh(t, fmt.Sprintf("dmsetup remove greedy; dmsetup message pool 0 'delete %d'", greedy))
	})
	sh(t, "dd if=/dev/zero of=/dev/mapper/greedy bs=1M oflag=direct status=none || true")
	if s := sh(t, "dmsetup status --noflush pool"); !strings.Contains(s, "out_of_data_space") {
		t.Fatalf("the pool is not full: %s", s)
	}
	f.recovers(t)
	// A volume in use, of which no snapshot can be made now.
	within(t, seconds, "it is shown as it lies on the disk", func() error {
		if _, err := os.ReadDir(fmt.Sprintf("%s/volumes/@%d", f.mnt, busy)); err != nil {
			return err
		}
		text, err := os.ReadFile(fmt.Sprintf("%s/info/@%d.json", f.mnt, busy))
		if err == nil && !strings.Contains(string(text), `"live_shown": "disk"`) {
			err = errors.New(string(text))
		}
		return err
	})
	noError(t, inUse.Close())
	removeGreedy()
	removeBusy()
	f.recovers(t)
}

// goes walks into a volume of the other pool just as that pool is deactivated. It is active for
// its tree only, and is deactivated when its last volume is idle. Each walk begins a bit
// later than the one before if the pool was still active, and sooner if it was not.
func (f *faulty) goes(t *testing.T) {
	const idle, step, rounds = 100 * time.Millisecond, 8 * time.Millisecond, 30
	mnt := mountTree(t, append([]string{"--engine", "kernel", "--idle", idle.String()}, f.other.source...)...)
	within(t, seconds, "nobody else has it", func() error { return noneLent(t) })
	gone, pause, round := 0, idle, 0
	for begin := time.Now(); round < rounds || gone < rounds/8 && time.Since(begin) < time.Minute; round++ {
		if err := inTime(t, "a volume", func() error { return f.other.holds(mnt, round%4) }); err != nil {
			t.Errorf("in round %d: %v", round, err)
		}
		time.Sleep(pause)
		pause += step
		if lentNow(t) == 0 {
			gone++
			pause -= 2 * step
		}
	}
	t.Logf("in %d of %d rounds it had gone, last after about %v", gone, round, pause)
	if gone < rounds/8 || gone > round-rounds/8 {
		t.Error("it was never about to go: this tests nothing")
	}
}
