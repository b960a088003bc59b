package guest

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"thintree/thin"
)

const (
	kills       = 100 // half of them with the pool active, half without
	killReaders = 20
	killVolumes = 12
	killSpread  = 300 * time.Millisecond // after the tree can be used

	// cleanLimit is how long it may mostly take until nothing is left: a second, times
	// three as the guest shares the machine with others. On a machine of its own it
	// takes 0.2 s, and 0.5 s at most.
	cleanLimit = 3 * time.Second
)

// TestDaemonThatIsKilledLeavesNothing kills daemons whose trees are walked at random
// instants. Few of the volumes may be open at once, so that some are opened and
// closed at any instant.
func TestDaemonThatIsKilledLeavesNothing(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		c := newCrowd(t, newPool(t, t.TempDir()), killVolumes)
		l := &life{source: append([]string{"--engine", "kernel", "--max-active", "4"}, c.source...), mnt: t.TempDir()}
		l.run(t, "of a pool that is active", func(t *testing.T) {
			c.unchanged(t, func() { l.killed(t, kills/2) })
		})
		l.run(t, "with its watchdog", func(t *testing.T) {
			c.unchanged(t, func() { l.killedWithWatchdog(t, 3) })
		})
		c.off(t)
		l.run(t, "while somebody has a device open", func(t *testing.T) {
			c.unchanged(t, func() { l.killedInUse(t) })
		})
		l.run(t, "of a pool that is not", func(t *testing.T) {
			c.unchanged(t, func() { l.killed(t, kills-kills/2) })
		})
	})
}

// life is a tree that is mounted again and again.
type life struct {
	source []string
	mnt    string
}

// run runs a subtest. If it fails, what it has left is removed, so that the next one can run.
func (l *life) run(t *testing.T, name string, body func(*testing.T)) {
	t.Run(name, func(t *testing.T) {
		before := things(t)
		t.Cleanup(func() {
			if t.Failed() {
				thintree("umount", "--lazy", l.mnt) // fails if it is not mounted
				swept(t, before)
			}
		})
		body(t)
	})
}

// start mounts it, and returns once it can be used. wait waits for the daemon's end.
func (l *life) start(t *testing.T) (daemon *exec.Cmd) {
	t.Helper()
	r, w, err := os.Pipe()
	noError(t, err)
	defer r.Close()
	daemon = exec.Command("/proc/self/exe", append(append([]string{"mount"}, l.source...), l.mnt)...)
	daemon.Args[0] = "thintree"
	daemon.Env = append(os.Environ(), asProgram+"=1", "THINTREE_DAEMON=1")
	daemon.Stderr = os.Stderr
	daemon.ExtraFiles = []*os.File{w}
	noError(t, daemon.Start())
	w.Close()
	if n, err := r.Read(make([]byte, 1)); n != 1 {
		t.Fatalf("the tree cannot be used: %v", err)
	}
	return daemon
}

// walked starts readers that walk the tree until it is unmounted.
func (l *life) walked() (readers *sync.WaitGroup) {
	readers = new(sync.WaitGroup)
	for range killReaders {
		readers.Go(func() {
			for alive := true; alive; {
				alive = walk(filepath.Join(l.mnt, "volumes", fmt.Sprintf("v%d", rand.IntN(killVolumes)))) == nil
			}
		})
	}
	return readers
}

// walk reads all files below a folder.
func walk(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(io.Discard, f)
		return err
	})
}

// killed kills the daemon some times.
func (l *life) killed(t *testing.T, times int) {
	before, all := things(t), time.Now()
	var took []time.Duration
	for range times {
		daemon := l.start(t)
		readers := l.walked()
		time.Sleep(rand.N(killSpread))
		noError(t, daemon.Process.Kill())
		killed := time.Now()
		daemon.Wait()
		for left := things(t); !slices.Equal(left, before); left = things(t) {
			if time.Since(killed) > seconds {
				t.Errorf("after %v there is %q, before was %q", time.Since(killed), left, before)
				swept(t, before)
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		took = append(took, time.Since(killed))
		readers.Wait()
	}
	slices.Sort(took)
	if median := took[len(took)/2]; median > cleanLimit {
		t.Errorf("mostly it takes %v until nothing is left", median)
	}
	t.Logf("killed %d times in %v; nothing was left after %v (median), %v (at most)",
		times, time.Since(all).Round(time.Second), took[len(took)/2], took[len(took)-1])
}

// swept removes what is left of devices, so that the test can go on.
func swept(t *testing.T, before []string) {
	t.Helper()
	k, err := kernelThings()
	noError(t, err)
	ctx := context.Background() // a cleanup may call this
	within(t, seconds, "all is as before", func() error {
		list, err := k.DM().List(ctx)
		for _, d := range list {
			if strings.HasPrefix(d.Name, lentPrefix) {
				_, err = k.RemoveDevice(ctx, d.Name, true, 0)
			}
		}
		if now := things(t); err != nil || !slices.Equal(now, before) {
			return fmt.Errorf("%v: there is %q, before was %q", err, now, before)
		}
		return nil
	})
}

// killedWithWatchdog kills both. The next daemon must clear what is left.
func (l *life) killedWithWatchdog(t *testing.T, times int) {
	before := things(t)
	for range times {
		daemon := l.start(t)
		readers := l.walked()
		time.Sleep(rand.N(killSpread))
		for _, pid := range append(watchdogs(t), daemon.Process.Pid) {
			noError(t, syscall.Kill(pid, syscall.SIGKILL))
		}
		daemon.Wait()
		readers.Wait()
		if slices.Equal(things(t), before) {
			t.Error("nothing is left with nobody there to clear it: this tests nothing")
		}
	}
	left := leftBehind(t)
	l.start(t)
	if list := things(t); slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, left) }) {
		t.Errorf("%s of a process that is gone is there: %q", left, list)
	}
	if _, err := thintree("umount", l.mnt); err != nil {
		t.Error(err)
	}
	within(t, seconds, "nothing is left", func() error {
		if now := things(t); !slices.Equal(now, before) {
			return fmt.Errorf("there is %q, before was %q", now, before)
		}
		return nil
	})
}

// killedInUse kills a daemon while a device of it is open, as by a file that the kernel
// reads past the tree: it stays until it is closed, and nothing that it lay on does.
func (l *life) killedInUse(t *testing.T) {
	before := things(t)
	daemon := l.start(t)
	noError(t, walk(filepath.Join(l.mnt, "volumes/v0")))
	lent := strings.Fields(sh(t, "dmsetup ls --target thin"))
	if len(lent) == 0 || !strings.HasPrefix(lent[0], lentPrefix) {
		t.Fatalf("nothing is lent: %q", lent)
	}
	device, err := os.Open("/dev/dm-" + strings.TrimSpace(sh(t, "dmsetup info -c --noheadings -o minor "+lent[0])))
	noError(t, err)
	defer device.Close()
	noError(t, daemon.Process.Kill())
	daemon.Wait()
	within(t, seconds, "only the device is left, of errors", func() error {
		if table := sh(t, "dmsetup table"); !strings.HasPrefix(table, lent[0]+": ") || !strings.HasSuffix(table, " error \n") || strings.Count(table, "\n") != 1 {
			return fmt.Errorf("there is %q", table)
		}
		return nil
	})
	noError(t, device.Close())
	within(t, seconds, "nothing is left", func() error {
		if now := things(t); !slices.Equal(now, before) {
			return fmt.Errorf("there is %q, before was %q", now, before)
		}
		return nil
	})
}

// leftBehind makes a device as a daemon leaves it that is killed between making it
// and asking for its removal.
func leftBehind(t *testing.T) (name string) {
	t.Helper()
	name = lentPrefix + "4000000-1" // no process has this id
	sh(t, fmt.Sprintf("dmsetup create %s --uuid THINTREE-LENT-4000000-17-1 --readonly --table '0 %d thin /dev/mapper/pool 1'", name, volumeBytes/sectorBytes))
	return name
}

// watchdogs are those of daemons.
func watchdogs(t *testing.T) (pids []int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	noError(t, err)
	for _, path := range all {
		if text, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(text), "thintree-watchdog\x00") {
			var pid int
			must(fmt.Sscanf(path, "/proc/%d/", &pid))
			pids = append(pids, pid)
		}
	}
	return pids
}

var kernelThings = sync.OnceValues(thin.OpenKernel)

// things are all mounts, device-mapper devices and loop devices, found without
// starting a program.
func things(t *testing.T) (things []string) {
	t.Helper()
	k, err := kernelThings()
	noError(t, err)
	list, err := k.DM().List(context.Background())
	noError(t, err)
	for _, d := range list {
		things = append(things, "dm "+d.Name)
	}
	loops, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	noError(t, err)
	for _, file := range loops {
		if text, err := os.ReadFile(file); err == nil { // otherwise it goes just now
			things = append(things, file+" "+string(text))
		}
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	noError(t, err)
	return append(things, string(text))
}
