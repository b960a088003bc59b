// Init is the first process of the guest: it mounts what a program expects, loads
// the modules, runs the job that lies beside it, and powers off.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"thintree/tests/guest/job"
)

// timerSlack is how much later than asked for the kernel may end a sleep, to end several
// at once. In a Go program that works a thread sleeps 20 µs again and again, and each
// time it wakes costs more here than a system call does: by the kernel's usual slack it
// takes half of the only CPU.
const timerSlack = 10 * time.Millisecond

func main() {
	// Of any other machine this must not be the init.
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "init: only for the guest of the tests")
		os.Exit(2)
	}
	if err := run(filepath.Dir(os.Args[0])); err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
	}
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func run(dir string) error {
	if err := mountAll(); err != nil {
		return err
	}
	j, err := job.Read(dir)
	if err != nil {
		return err
	}
	out, err := job.Output(dir)
	if err != nil {
		return err
	}
	defer out.Close()
	os.Setenv("PATH", j.Path)
	modprobe := exec.Command("modprobe", "-d", dir, "-a", "dm-thin-pool", "dm-snapshot", "dm-flakey", "dm-delay", "dm-raid", "raid1", "raid456", "loop", "fuse")
	modprobe.Stdout, modprobe.Stderr = out, out
	if err := modprobe.Run(); err != nil {
		return fmt.Errorf("modprobe: %w", err)
	}
	// Of this thread the program inherits it.
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0); err != nil {
		return fmt.Errorf("setting the timer slack: %w", err)
	}
	cmd := exec.Command(j.Args[0], j.Args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = j.Dir, out, out
	cmd.Env = []string{job.Inside + "=1", "PATH=" + j.Path, "HOME=/run", "TMPDIR=/mnt", "DM_DISABLE_UDEV=1", "LC_ALL=C"}
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return job.End(dir, cmd.ProcessState.ExitCode())
}

func mountAll() error {
	for _, m := range []struct{ kind, at string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"devpts", "/dev/pts"}, {"tmpfs", "/run"}, {"tmpfs", "/mnt"}, {"tmpfs", "/var/lib"},
	} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return err
		}
		// The kernel may have mounted /dev itself.
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mounting %s: %w", m.at, err)
		}
	}
	return os.Chmod("/mnt", 0o1777)
}
