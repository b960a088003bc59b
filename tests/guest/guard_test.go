package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"thintree/thin"
	"thintree/thin/pdata"
)

// asSnapper is the environment variable that makes the test binary a process that
// takes snapshots until it is killed, or so many as its value says.
const asSnapper = "THINTREE_TEST_SNAPPER"

func init() {
	text, is := os.LookupEnv(asSnapper)
	if !is {
		return
	}
	if err := snap(text); err != nil {
		fmt.Fprintln(os.Stderr, "snapper:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

const (
	guarded = 1 // the origin's id
	copied  = 2 // its snapshot's
)

func snap(text string) error {
	count, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	k, err := thin.OpenKernel()
	if err != nil {
		return err
	}
	ctx := context.Background()
	p, err := k.OpenPool(ctx, poolName)
	if err != nil {
		return err
	}
	for ; count != 0; count-- {
		if err := p.CreateSnapDevice(ctx, copied, guarded); err != nil {
			return err
		}
		if err := p.DeleteDevice(ctx, copied); err != nil {
			return err
		}
	}
	return nil // without an end of the guard
}

// snapper starts such a process, in a process group of its own.
func snapper(t *testing.T, count int) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", asSnapper, count))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	noError(t, cmd.Start())
	return cmd
}

// guards are the processes that are guards, and those that this process has
// started and has not asked how they ended.
func guards(t *testing.T) (pids []int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	noError(t, err)
	for _, dir := range all {
		stat, err := os.ReadFile(dir + "/stat")
		line, err2 := os.ReadFile(dir + "/cmdline")
		if errors.Join(err, err2) != nil {
			continue
		}
		zombie := bytes.Contains(stat, fmt.Appendf(nil, ") Z %d ", os.Getpid()))
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && (zombie || bytes.HasPrefix(line, []byte("thintree-guard\x00"))) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func noGuards(t *testing.T) {
	t.Helper()
	within(t, seconds, "no guard is left", func() error {
		if pids := guards(t); len(pids) > 0 {
			return fmt.Errorf("there are %d", pids)
		}
		return nil
	})
}

func TestProcessThatIsKilledLeavesNoOriginFrozen(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		l := newLab(t)
		p := l.create(t, "pool", thin.Features{})
		d := volume(t, l, p, guarded, 32*mib)
		dir := stillMounted(t, d.Path())
		t.Cleanup(func() { exec.Command("dmsetup", "resume", d.Name).Run() }) // so that it can be unmounted, if it is left frozen
		var writes atomic.Int64
		stop, done := make(chan struct{}), make(chan error, 1)
		go func() {
			for {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				if err := writeSynced(dir + "/written"); err != nil {
					done <- err
					return
				}
				writes.Add(1)
				time.Sleep(5 * time.Millisecond)
			}
		}()

		const rounds = 12
		longest := time.Duration(0)
		for round := range rounds {
			child := snapper(t, -1)
			within(t, time.Minute, "it takes snapshots", func() error { // its start takes long if the machine is busy
				if len(guards(t)) == 0 {
					return errors.New("it has no guard yet")
				}
				return nil
			})
			pid := child.Process.Pid
			switch round % 3 {
			case 0: // at any instant
				time.Sleep(rand.N(100 * time.Millisecond))
				noError(t, syscall.Kill(pid, syscall.SIGKILL))
			case 1: // while the origin is suspended
				l.stopWhileSuspended(t, pid, d.Name)
				noError(t, syscall.Kill(pid, syscall.SIGKILL))
			case 2: // by what a terminal and a service manager send
				l.stopWhileSuspended(t, pid, d.Name)
				noError(t, syscall.Kill(-pid, []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}[round/3%3]))
				noError(t, syscall.Kill(pid, syscall.SIGCONT))
			}
			child.Wait()
			killed := time.Now()
			before := writes.Load()
			within(t, seconds, "the origin runs", func() error {
				switch {
				case l.suspended(t, d.Name):
					return errors.New("it is suspended")
				case writes.Load() < before+2:
					return errors.New("nobody can write")
				}
				return nil
			})
			longest = max(longest, time.Since(killed))
			noGuards(t)
			var none *pdata.NoDeviceError
			if err := p.DeleteDevice(t.Context(), copied); err != nil && !errors.As(err, &none) {
				t.Error(err)
			}
		}
		close(stop)
		noError(t, <-done)
		t.Logf("killed %d times; the origin ran and was written to after at most %v", rounds, longest)
	})
}

func (l *lab) suspended(t *testing.T, name string) bool {
	t.Helper()
	info, err := l.DM().Info(t.Context(), name)
	noError(t, err)
	return info.Suspended
}

// stopWhileSuspended stops a process while it has a device suspended.
func (l *lab) stopWhileSuspended(t *testing.T, pid int, name string) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(time.Millisecond) { // the other process has the same CPU
		if !l.suspended(t, name) {
			continue
		}
		noError(t, syscall.Kill(pid, syscall.SIGSTOP))
		within(t, seconds, "it stops", func() error { return isStopped(pid) }) // after the ioctl that it is in
		if l.suspended(t, name) {
			return
		}
		noError(t, syscall.Kill(pid, syscall.SIGCONT))
	}
	t.Fatalf("it was never stopped while it had %s suspended", name)
}

// isStopped fails unless all threads of a process are stopped.
func isStopped(pid int) error {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return err
	}
	if len(threads) == 0 {
		return errors.New("it is gone")
	}
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		if err != nil {
			return err
		}
		if _, state, _ := bytes.Cut(stat, []byte(") ")); !bytes.HasPrefix(state, []byte("T ")) {
			return fmt.Errorf("it runs: %s", stat)
		}
	}
	return nil
}

func TestGuardLivesAsLongAsItsProcess(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		l := newLab(t)
		volume(t, l, l.create(t, "pool", thin.Features{}), guarded, volumeBytes)
		k, err := thin.OpenKernel()
		noError(t, err)
		p, err := k.OpenPool(t.Context(), poolName)
		noError(t, err)
		if pids := guards(t); len(pids) > 0 {
			t.Errorf("guards %d, before one is needed", pids)
		}
		noError(t, snapper(t, 2).Wait())
		noGuards(t)

		snapshot := func() (guard int) {
			t.Helper()
			noError(t, p.CreateSnapDevice(t.Context(), copied, guarded))
			noError(t, p.DeleteDevice(t.Context(), copied))
			pids := guards(t)
			if len(pids) != 1 {
				t.Fatalf("guards %d, want one", pids)
			}
			return pids[0]
		}
		first := snapshot()
		if again := snapshot(); again != first {
			t.Error("another guard was started")
		}
		for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE} {
			noError(t, syscall.Kill(first, s))
		}
		if again := snapshot(); again != first {
			t.Error("a signal ends the guard")
		}
		environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", first))
		noError(t, err)
		if bytes.Contains(environment, []byte("TMPDIR")) {
			t.Errorf("it has all of its parent's environment: %q", environment)
		}
		open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", first))
		noError(t, err)
		for _, e := range open {
			to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", first, e.Name()))
			its := filepath.Dir(to) == "/dev" || filepath.Dir(to) == "/dev/mapper" || strings.HasPrefix(to, "/memfd:thintree-guard")
			if err == nil && filepath.IsAbs(to) && !its {
				t.Errorf("it has %s open", to)
			}
		}
		noError(t, syscall.Kill(first, syscall.SIGKILL))
		noGuards(t) // and no zombie
		if again := snapshot(); again == first {
			t.Error("it was not replaced")
		}
		noError(t, k.Close())
		noGuards(t)
	})
}
