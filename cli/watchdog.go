package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"thintree/fusefs"
	"thintree/thin"
	"thintree/thin/lend"
)

// watchdogEnv is set in the process that looks after the daemon: it is the same
// program, and waits for the end of a socket that the daemon holds. If the daemon is
// killed its mount stays, dead; the watchdog takes it away, and with it goes all that
// the kernel still has for it, but what the daemon was about to make: that the
// watchdog removes too. The value is which process the daemon is, and where it
// mounts.
//
// A daemon can fail to end: one of its threads waits in the kernel, for a disk or
// another filesystem that does not answer. Then nor do those end who wait for the
// tree, not even by SIGKILL, until the watchdog aborts the tree's connection. It does
// so only if the daemon is to end: it was killed or ends by itself, of which the
// watchdog gets a signal, or its tree was unmounted lazily, and a thread of it has not
// run for some seconds.
const watchdogEnv = "THINTREE_WATCHDOG"

// watchdog is the one of this process.
type watchdog struct{ socket *os.File }

// startWatchdog starts it, before anything is mounted.
func startWatchdog(mountpoint string) (*watchdog, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	r, w := os.NewFile(uintptr(pair[0]), "watchdog"), os.NewFile(uintptr(pair[1]), "watchdog")
	defer r.Close()
	owner, err := lend.Owner()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"thintree-watchdog"}
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s", watchdogEnv, owner, mountpoint))
	cmd.Dir = "/"
	cmd.Stdin = r
	// What a terminal sends to the daemon is not for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	started := make(chan error)
	go func() {
		// The signal comes when the thread ends that has started the watchdog. This one
		// ends with the process, and never waits for a disk.
		runtime.LockOSThread()
		cmd.SysProcAttr.Pdeathsig = daemonEnds
		err := cmd.Start()
		started <- err
		if err == nil {
			// The socket stays open until the process ends; so does the watchdog.
			cmd.Wait()
			w.Close()
		}
	}()
	if err := <-started; err != nil {
		w.Close()
		return nil, fmt.Errorf("the watchdog: %w", err)
	}
	return &watchdog{w}, nil
}

// mounted tells it the mount's device number, by which it knows it from then on, and
// gives it the mount's connection, if that can be opened.
func (w *watchdog) mounted(m *fusefs.Mount) error {
	var rights []byte
	if c, err := m.Connection(); err == nil {
		defer c.Close()
		rights = unix.UnixRights(int(c.File().Fd()))
	}
	major, minor := m.Device()
	return os.NewSyscallError("sendmsg", unix.Sendmsg(int(w.socket.Fd()), fmt.Appendf(nil, "%d:%d\n", major, minor), rights, nil, 0))
}

// watch is what the watchdog does.
func watch(about string) int {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, daemonEnds)
	owner, mountpoint, ok := strings.Cut(about, " ")
	if !ok {
		return statusUsage
	}
	told := await(owner, ends)
	if err := errors.Join(clear(told, mountpoint), sweep(owner)); err != nil {
		return statusFailed // nobody is there to be told
	}
	return statusDone
}

// clear takes the daemon's mount away. Before its number was told it is what is
// dead at its place.
func clear(told, mountpoint string) error {
	var major, minor int
	if _, err := fmt.Sscanf(told, "%d:%d\n", &major, &minor); err == nil {
		return fusefs.Clear(major, minor)
	}
	_, err := fusefs.Prepare(mountpoint)
	return err
}

// sweep removes what the daemon was about to leave to the kernel.
func sweep(owner string) error {
	kernel, err := thin.OpenKernel()
	if err != nil {
		return nil // the daemon could not use it either
	}
	l := lend.New(kernel)
	return errors.Join(l.SweepOf(context.Background(), owner), l.Close())
}
