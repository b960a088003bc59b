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

// watchdogEnv is set in the process that cleans up after the daemon, the watchdog. It is
// the same program, and waits until a socket that the daemon holds is closed. A killed
// daemon leaves a dead mount; the watchdog unmounts it, and the kernel then frees all
// that it kept for it. The watchdog also removes what the daemon was about to make. The
// value is the daemon's process and its mountpoint.
//
// A daemon cannot end while one of its threads waits in the kernel for a disk or another
// filesystem that does not answer. Processes that wait for the tree cannot end either,
// not even by SIGKILL, until the watchdog aborts the tree's connection. It does so only
// if the daemon should end: it was killed or ends by itself (the watchdog gets a signal
// then), or its tree was unmounted lazily and one of its threads has not run for some
// seconds.
const watchdogEnv = "THINTREE_WATCHDOG"

// watchdog is the daemon's end of the connection to its watchdog.
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
	// A terminal's signals to the daemon must not reach the watchdog.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	started := make(chan error)
	go func() {
		// The kernel sends the signal when the thread that started the watchdog ends. This
		// thread ends with the process, and never waits for a disk.
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

// mounted sends the watchdog the mount's device number, which identifies the mount from
// then on, and the mount's connection if that can be opened.
func (w *watchdog) mounted(m *fusefs.Mount) error {
	var rights []byte
	if c, err := m.Connection(); err == nil {
		defer c.Close()
		rights = unix.UnixRights(int(c.File().Fd()))
	}
	major, minor := m.Device()
	return os.NewSyscallError("sendmsg", unix.Sendmsg(int(w.socket.Fd()), fmt.Appendf(nil, "%d:%d\n", major, minor), rights, nil, 0))
}

// watch runs the watchdog, and returns its exit status.
func watch(about string) int {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, daemonEnds)
	owner, mountpoint, ok := strings.Cut(about, " ")
	if !ok {
		return statusUsage
	}
	device := await(owner, ends)
	if err := errors.Join(unmountDead(device, mountpoint), sweep(owner)); err != nil {
		return statusFailed // no one reads an error of this process
	}
	return statusDone
}

// unmountDead unmounts the dead mount that the daemon left, by its device number. If the
// daemon has not sent one, it unmounts any dead mount at the mountpoint.
func unmountDead(device, mountpoint string) error {
	var major, minor int
	if _, err := fmt.Sscanf(device, "%d:%d\n", &major, &minor); err == nil {
		return fusefs.Clear(major, minor)
	}
	_, err := fusefs.Prepare(mountpoint)
	return err
}

// sweep removes the devices that the daemon had made and did not hand over to a mount.
func sweep(owner string) error {
	kernel, err := thin.OpenKernel()
	if err != nil {
		return nil // the daemon could not use it either
	}
	l := lend.New(kernel)
	return errors.Join(l.SweepOf(context.Background(), owner), l.Close())
}
