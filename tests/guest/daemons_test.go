package guest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// needsPrograms skips the test unless programs are there.
func needsPrograms(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s: %v", program, err)
		}
	}
}

// forContainers makes the guest a place in which daemons can run containers. What containerd makes in
// /opt goes with the guest.
func forContainers(t *testing.T) {
	t.Helper()
	sh(t, `
mount -t tmpfs opt /opt
mount -t tmpfs cgroup /sys/fs/cgroup
for c in cpu,cpuacct memory devices freezer pids blkio; do
	mkdir /sys/fs/cgroup/$c; mount -t cgroup -o $c cgroup /sys/fs/cgroup/$c
done`)
}

// shellRoot is a folder with all that a container needs to run dash, sleep and rm, and files of several kinds.
func shellRoot(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	sh(t, `
cd `+dir+`; chmod 755 .
for f in /bin/dash /bin/sleep /bin/rm; do echo $f; ldd $f | grep -o '/[^ ]*'; done | sort -u | xargs cp -L --parents -t .
mv bin/dash bin/sh
mkdir etc etc/empty; echo image >etc/name; chmod 4750 etc/name; chown 7:8 etc/name; ln -s name etc/link; ln etc/name etc/second
mkfifo etc/fifo; mknod etc/null c 1 3; truncate -s 1M etc/sparse; seq 100000 >etc/numbers`)
	return dir
}

// daemon is a program that runs until the test ends.
type daemon struct {
	cmd  *exec.Cmd
	args []string
	log  string     // its path
	over chan error // gets what the program ends with
}

// runDaemon starts a daemon, and waits until a command succeeds, which only the daemon can answer.
func runDaemon(t *testing.T, ready string, args ...string) *daemon {
	t.Helper()
	d := &daemon{args: args, log: filepath.Join(t.TempDir(), "log")}
	t.Cleanup(func() {
		d.stop(t)
		if text, err := os.ReadFile(d.log); err == nil && t.Failed() {
			t.Logf("the log of %s:\n%s", args[0], text)
		}
	})
	d.start(t, ready)
	return d
}

func (d *daemon) start(t *testing.T, ready string) {
	t.Helper()
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	noError(t, err)
	defer log.Close()
	d.cmd = exec.Command(d.args[0], d.args[1:]...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	noError(t, d.cmd.Start())
	d.over = make(chan error, 1)
	go func() { d.over <- d.cmd.Wait() }()
	within(t, seconds, d.args[0]+" answers", func() error {
		select {
		case err := <-d.over:
			d.over = nil
			t.Fatalf("%s has ended: %v", d.args[0], err)
		default:
		}
		out, err := exec.Command("bash", "-c", ready).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	})
}

// stop stops a daemon that has not ended by itself.
func (d *daemon) stop(t *testing.T) {
	t.Helper()
	if d.over == nil {
		return
	}
	noError(t, d.cmd.Process.Signal(syscall.SIGTERM))
	if err := inTime(t, d.args[0], func() error { return <-d.over }); err != nil {
		t.Errorf("%s: %v", d.args[0], err)
	}
	d.over = nil
}

// complaints are the lines of a daemon's log that tell of errors.
func (d *daemon) complaints(t *testing.T) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(d.log)
	noError(t, err)
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "level=error") || strings.Contains(line, "level=fatal") || strings.Contains(line, "panic") {
			lines = append(lines, line)
		}
	}
	return lines
}

// pace is how long commands took, by their kind.
type pace map[string][]time.Duration

// run runs a shell command of a kind.
func (p pace) run(t *testing.T, kind, command string) string {
	t.Helper()
	begin := time.Now()
	out := sh(t, command)
	p[kind] = append(p[kind], time.Since(begin))
	return strings.TrimSpace(out)
}

// holds fails unless commands took about as long as they did before.
func (p pace) holds(t *testing.T, before pace) {
	t.Helper()
	for kind, times := range p {
		was, is, longest := median(before[kind]), median(times), slices.Max(times)
		t.Logf("%-9s alone %v (median of %d), beside the tree %v (of %d), at most %v",
			kind, was.Round(time.Millisecond), len(before[kind]), is.Round(time.Millisecond), len(times), longest.Round(time.Millisecond))
		if is > 3*was+2*time.Second {
			t.Errorf("%s takes %v, and alone %v", kind, is, was)
		}
	}
}

// walkAlways makes walkers read all of a tree again and again, and one read a folder that is always
// there, which it must be able to. The guest has one CPU, so they leave more of it to others than they
// take: what a command takes longer than without them it waits for the tree.
func walkAlways(t *testing.T, mnt, always string) (halt func()) {
	t.Helper()
	stop := make(chan struct{})
	var walkers sync.WaitGroup
	walkers.Add(3)
	rounds := make([]int, 3)
	walk := func(n int, files string, failed func(error)) {
		defer walkers.Done()
		for ; ; rounds[n]++ {
			select {
			case <-stop:
				return
			default:
			}
			cmd := exec.Command("nice", "bash", "-c", "set -o pipefail; find "+files+" -print0 | xargs -0 cat >/dev/null; echo 3 >/proc/sys/vm/drop_caches")
			out, err := cmd.CombinedOutput()
			if err != nil {
				failed(fmt.Errorf("%w: %s", err, out))
			}
		}
	}
	passing := func(error) {} // volumes go while they are read
	go walk(0, mnt+" -type f", passing)
	go walk(1, mnt+"/volumes -type f", passing)
	go walk(2, "-H "+always+" -type f", func(err error) { t.Errorf("reading %s: %v", always, err) })
	return sync.OnceFunc(func() {
		close(stop)
		walkers.Wait()
		t.Logf("rounds of the walkers: %v", rounds)
		if slices.Contains(rounds, 0) {
			t.Error("a walker did not come round")
		}
	})
}

// shownWithin waits until a path is there, or is not.
func shownWithin(t *testing.T, path string, want bool) {
	t.Helper()
	begin := time.Now()
	within(t, seconds, fmt.Sprintf("%s is there: %v", path, want), func() error {
		if _, err := os.Lstat(path); (err == nil) != want {
			return fmt.Errorf("lstat says %v", err)
		}
		return nil
	})
	if took := time.Since(begin); took > 5*time.Second {
		t.Logf("%s is there: %v: that took %v", path, want, took)
	}
}

// noneIsActive waits until no volume has a device. Daemons remove the devices of what is deleted a moment
// later, and if a device is in use later still.
func noneIsActive(t *testing.T) {
	t.Helper()
	within(t, 2*seconds, "no device is left", func() error {
		if left := sh(t, "dmsetup ls --target thin"); strings.Contains(left, "(") {
			return fmt.Errorf("there is still\n%s", left)
		}
		return nil
	})
}
