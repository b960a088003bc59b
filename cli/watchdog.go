package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"thintree/fusefs"
	"thintree/thin"
	"thintree/thin/lend"
)

// watchdogEnv is set in the process that looks after the daemon: it is the same
// program, and waits for the end of a pipe that the daemon holds. Where the
// daemon is killed its mount stays, dead; the watchdog takes it away, and with it
// goes all that the kernel still has for it, but what the daemon was about to make:
// that the watchdog removes too. The value is the mount's device number, and which
// process the daemon is.
const watchdogEnv = "THINTREE_WATCHDOG"

// startWatchdog starts the watchdog of this process.
func startWatchdog(m *fusefs.Mount) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	major, minor := m.Device()
	owner, err := lend.Owner()
	if err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"thintree-watchdog"}
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d:%d %s", watchdogEnv, major, minor, owner))
	cmd.Dir = "/"
	cmd.Stdin = r
	// What a terminal sends to the daemon is not for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		w.Close()
		return fmt.Errorf("the watchdog: %w", err)
	}
	// The pipe stays open until the process ends; so does the watchdog.
	go func() {
		cmd.Wait()
		w.Close()
	}()
	return nil
}

// watch is what the watchdog does.
func watch(about string) int {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	var major, minor int
	var owner string
	if _, err := fmt.Sscanf(about, "%d:%d %s", &major, &minor, &owner); err != nil {
		return statusUsage
	}
	io.Copy(io.Discard, os.Stdin)
	if err := errors.Join(fusefs.Clear(major, minor), sweep(owner)); err != nil {
		return statusFailed // nobody is there to be told
	}
	return statusDone
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
