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
	"thintree/fusefs/mounts"
	"thintree/thin"
	"thintree/thin/lend"
)

// watchdogEnv is set in the watchdog, a second process of this program that cleans up
// after the daemon. Its value is the daemon's process and mountpoint.
//
// The watchdog waits for the end of a socket that the daemon has open. If the daemon is
// killed, its FUSE mount stays, dead, and with it everything in the kernel that the mount
// uses. The watchdog unmounts it. It also removes the devices that the daemon had made but
// not yet mounted.
//
// A daemon may be unable to end, because one of its threads waits in the kernel for a disk
// or another filesystem that does not answer. Then processes that wait for the tree cannot
// end either, not even by SIGKILL, until the watchdog aborts the tree's connection. It
// does so only if the daemon is to end. That is so if the daemon was killed or is ending
// by itself, of which the kernel sends the watchdog a signal. It is also so if the tree
// was unmounted lazily and a thread of the daemon has not run for some seconds.
const watchdogEnv = "THINTREE_WATCHDOG"

// watchdog is the daemon's end of the socket.
type watchdog struct{ socket *os.File }

// startWatchdog starts the watchdog. It is called before anything is mounted.
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
	// A session of its own, so that a terminal's signals to the daemon do not reach it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	started := make(chan error)
	go func() {
		// The kernel sends the signal when the thread that started the watchdog ends. This
		// thread never waits for a disk, and ends with the process.
		runtime.LockOSThread()
		cmd.SysProcAttr.Pdeathsig = daemonEnds
		err := cmd.Start()
		started <- err
		if err == nil {
			// The socket stays open until this process ends, so the watchdog runs until then.
			cmd.Wait()
			w.Close()
		}
	}()
	if err := <-started; err != nil {
		w.Close()
		return nil, fmt.Errorf("starting the watchdog: %w", err)
	}
	return &watchdog{w}, nil
}

// mounted sends the watchdog the mount's device number, and the mount's connection if
// this user can open it.
func (w *watchdog) mounted(m *fusefs.Mount) error {
	var rights []byte
	if c, err := m.Connection(); err == nil {
		defer c.Close()
		rights = unix.UnixRights(int(c.File().Fd()))
	}
	major, minor := m.Device()
	return os.NewSyscallError("sendmsg", unix.Sendmsg(int(w.socket.Fd()), fmt.Appendf(nil, "%d:%d\n", major, minor), rights, nil, 0))
}

// watch is the watchdog's main function. about is the value of watchdogEnv.
func watch(about string) int {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, daemonEnds)
	owner, mountpoint, ok := strings.Cut(about, " ")
	if !ok {
		return statusUsage
	}
	device := await(owner, ends)
	if err := errors.Join(removeDeadMount(device, mountpoint), sweep(owner)); err != nil {
		return statusFailed // there is no log to write the error to
	}
	return statusDone
}

// removeDeadMount unmounts the daemon's dead mount. The mount is known by its device
// number, or by the mountpoint if the daemon ended before it sent that number.
func removeDeadMount(device, mountpoint string) error {
	var major, minor int
	if _, err := fmt.Sscanf(device, "%d:%d\n", &major, &minor); err == nil {
		return mounts.RemoveDead(major, minor)
	}
	_, err := mounts.Prepare(mountpoint)
	return err
}

// sweep removes the devices that the daemon had made but not yet mounted.
func sweep(owner string) error {
	kernel, err := thin.OpenKernel()
	if err != nil {
		return nil // the daemon could not use it either
	}
	l := lend.New(kernel)
	return errors.Join(l.SweepOf(context.Background(), owner), l.Close())
}
