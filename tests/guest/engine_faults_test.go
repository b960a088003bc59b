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

// TestPoolThatFails has all go wrong that can go wrong beneath an active pool, and
// looks that readers get an error and no lie, in time, and that all is right when
// the fault has gone.
func TestPoolThatFails(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		f := newFaulty(t)
		t.Run("its data cannot be read", func(t *testing.T) {
			f.table(t, "data", "error")
			f.fails(t)
			// It stays open, as it does while people ask for it again and again.
			defer f.open(t, "raw/v%d.img", f.next-1).Close()
			f.table(t, "data", "linear")
			f.recovers(t)
		})
		t.Run("its data come late", func(t *testing.T) {
			f.table(t, "data", "delay", " 20")
			f.recovers(t) // what is there, is right
			f.table(t, "data", "linear")
		})
		t.Run("its data come and go", func(t *testing.T) {
			f.table(t, "data", "flakey", " 1 1") // seconds
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
			f.table(t, "data", "linear")
			f.recovers(t)
		})
		t.Run("its metadata cannot be read", func(t *testing.T) {
			sh(t, "dmsetup message pool 0 'create_thin 4999'") // what that reads is in memory then
			f.table(t, "metadata", "error")
			exec.Command("dmsetup", "message", "pool", "0", "create_thin 5000").Run() // so that it is noticed
			if s := sh(t, "dmsetup status --noflush pool"); !strings.Contains(s, "Fail") {
				t.Fatalf("the pool has not failed: %s", s)
			}
			f.fails(t)
			f.table(t, "metadata", "linear")
			within(t, seconds, "its owner deactivates it", func() error { return exec.Command("dmsetup", "remove", "pool").Run() })
			f.load(t)
			f.recovers(t)
		})
		t.Run("it is replaced by errors", func(t *testing.T) {
			table := strings.TrimSpace(sh(t, "dmsetup table pool"))
			f.reads(t)
			sh(t, "dmsetup message pool 0 'create_thin 4998'; dmsetup create user --table '0 1024 thin /dev/mapper/pool 4998'")
			exec.Command("dmsetup", "remove", "--force", "pool").Run() // fails, but puts errors in its place
			// What this process reads of the pool's halves is there all the same.
			for range 2 {
				noError(t, inTime(t, "a volume", func() error { return f.holds(f.mnt, f.fresh()) }))
			}
			f.lists(t)
			sh(t, "dmsetup load pool --table '"+table+"'; dmsetup resume pool; dmsetup remove user")
			f.recovers(t)
		})
		t.Run("it is suspended", f.suspended)
		t.Run("its metadata snapshot is another's", func(t *testing.T) {
			sh(t, "dmsetup message pool 0 reserve_metadata_snap")
			f.recovers(t)
			sh(t, "dmsetup message pool 0 release_metadata_snap")
		})
		t.Run("it is read-only", func(t *testing.T) {
			f.features(t, "1 read_only")
			f.recovers(t)
			f.features(t, "0")
		})
		t.Run("its data are full", f.full)
		t.Run("another goes as somebody comes", f.goes)
		t.Run("nothing is left", func(t *testing.T) {
			within(t, seconds, "nothing is left", func() error { return noneLent(t) })
		})
	})
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

// table has a half of the pool lie on a target: linear, error, or one that takes more
// arguments behind what it lies on.
func (f *faulty) table(t *testing.T, half, target string, more ...any) {
	t.Helper()
	var start, length, number int
	var had, at string
	if n, _ := fmt.Sscan(sh(t, "dmsetup table "+half), &start, &length, &had, &at, &number); n < 3 {
		t.Fatal("no table")
	}
	if had == "linear" {
		sh(t, fmt.Sprintf("echo '%s %d' >/run/%s", at, number, half))
	}
	params := ""
	if target != "error" {
		params = fmt.Sprint(append([]any{strings.TrimSpace(sh(t, "cat /run/"+half))}, more...)...)
	}
	sh(t, fmt.Sprintf("dmsetup suspend --nolockfs --noflush %s; dmsetup load %[1]s --table '0 %d %s %s'; dmsetup resume %[1]s", half, length, target, params))
}

// features gives the pool others, as dmsetup has them.
func (f *faulty) features(t *testing.T, features string) {
	t.Helper()
	sh(t, fmt.Sprintf("dmsetup load pool --table '0 %d thin-pool %s %s 128 0 %s'; dmsetup suspend pool; dmsetup resume pool",
		faultMiB*mib/sectorBytes, f.metadata, f.data, features))
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

// inTime fails where something takes too long; it gives its error.
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

// isErrno tells whether the kernel has given an error.
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
	within(t, seconds, "the tree has seen that the pool is active", func() error { return poolIs(f.mnt, "live") })
	for n := range f.next {
		within(t, seconds, "all is there again", func() error {
			return inTime(t, "a volume", func() error { return f.holds(f.mnt, n) })
		})
	}
	t.Logf("all there again after %v", time.Since(begin).Round(time.Millisecond))
	f.lists(t)
}

// suspended has the pool suspended for a while, as its owner does to make it longer. What this
// process reads does not wait for the owner.
func (f *faulty) suspended(t *testing.T) {
	open := f.fresh() // beforehand, and not all of it read
	_, err := os.ReadDir(fmt.Sprintf("%s/volumes/v%d", f.mnt, open))
	noError(t, err)
	sh(t, "dmsetup suspend pool")
	for _, n := range []int{open, f.fresh()} {
		if err := inTime(t, "a volume", func() error { return f.holds(f.mnt, n) }); err != nil {
			t.Error(err)
		}
	}
	f.lists(t)
	sh(t, "dmsetup resume pool")
	f.recovers(t)
}

// full fills the pool's data.
func (f *faulty) full(t *testing.T) {
	f.features(t, "1 error_if_no_space")
	const busy, greedy = 3000, 3001
	f.create(t, busy)
	device := f.activate(t, busy)
	sh(t, "mkfs.ext4 -q "+device)
	inUse, err := os.OpenFile(device, os.O_RDWR, 0)
	noError(t, err)
	sh(t, fmt.Sprintf(`dmsetup message pool 0 'create_thin %d'
dmsetup create greedy --table '0 %d thin /dev/mapper/pool %[1]d'
dd if=/dev/zero of=/dev/mapper/greedy bs=1M oflag=direct status=none || true`, greedy, 2*faultMiB*mib/sectorBytes))
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
	sh(t, fmt.Sprintf("dmsetup remove greedy; dmsetup message pool 0 'delete %d'; dmsetup remove %s", greedy, filepath.Base(device)))
	f.recovers(t)
}

// goes has the other pool, which is active for its tree only, go because its last
// volume is idle, and somebody walk into a volume just then: each time a bit later
// where it had not gone yet, and sooner where it had.
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
