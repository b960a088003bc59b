package fusefs

import (
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"
)

func TestThreadWithAPendingDeadlySignalIsDying(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		signal syscall.Signal
		want   bool
	}{
		"killed":          {syscall.SIGKILL, true},
		"told to end":     {syscall.SIGTERM, true},
		"its window grew": {syscall.SIGWINCH, false},
		"ignores it":      {syscall.SIGUSR1, false},
		"handles it":      {syscall.SIGUSR2, false},
	} {
		// It is stopped, so that signals stay pending.
		cmd := exec.Command("sh", "-c", "trap '' USR1; trap : USR2; kill -STOP $$; sleep 100")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		thread := uint32(cmd.Process.Pid)
		for until := time.Now().Add(5 * time.Second); !stopped(t, thread); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(until) {
				t.Fatal("it does not stop within 5 s")
			}
		}
		if dying(thread) {
			t.Errorf("%s: dying before the signal", name)
		}
		if test.signal != syscall.SIGKILL { // which ends even a stopped process
			if err := cmd.Process.Signal(test.signal); err != nil {
				t.Error(err)
			}
			if got := dying(thread); got != test.want {
				t.Errorf("%s: dying is %v", name, got)
			}
		}
		cmd.Process.Kill()
		cmd.Wait()
		if !dying(thread) {
			t.Errorf("%s: not dying after its end", name)
		}
	}
	if dying(0) {
		t.Error("a thread that is not visible from here is dying")
	}
}

func stopped(t *testing.T, thread uint32) bool {
	t.Helper()
	state, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(int(thread))).Output()
	return err == nil && len(state) > 0 && state[0] == 'T'
}
