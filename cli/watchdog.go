package cli

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"thintree/fusefs"
)

// watchdogEnv is set in the process that looks after the daemon: it is the same
// program, and waits for the end of a pipe that the daemon holds. Where the
// daemon is killed its mount stays, dead; the watchdog takes it away, and with it
// goes all that the kernel still has for it. The value is the mount's device
// number.
const watchdogEnv = "THINTREE_WATCHDOG"

// startWatchdog starts the watchdog of this process.
func startWatchdog(m *fusefs.Mount) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	major, minor := m.Device()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"thintree-watchdog"}
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d:%d", watchdogEnv, major, minor))
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
func watch(device string) int {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	var major, minor int
	if _, err := fmt.Sscanf(device, "%d:%d", &major, &minor); err != nil {
		return statusUsage
	}
	io.Copy(io.Discard, os.Stdin)
	if err := fusefs.Clear(major, minor); err != nil {
		return statusFailed // nobody is there to be told
	}
	return statusDone
}
