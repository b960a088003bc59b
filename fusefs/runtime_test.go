package fusefs

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAllThreadsGetCoarseTimers(t *testing.T) {
	t.Parallel()
	err := easeRuntime()
	if errors.Is(err, os.ErrPermission) {
		t.Skip("needs CAP_SYS_NICE")
	}
	if err != nil {
		t.Fatal(err)
	}
	if n := runtime.GOMAXPROCS(0); n < procsPerCPU*runtime.NumCPU() {
		t.Errorf("%d processors for %d CPUs", n, runtime.NumCPU())
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		slack, err := os.ReadFile(filepath.Join("/proc", thread.Name(), "timerslack_ns"))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // it has ended
		}
		if ns, _ := strconv.Atoi(strings.TrimSpace(string(slack))); ns < int(timerSlack) {
			t.Errorf("thread %s has a timer slack of %q ns, %v", thread.Name(), slack, err)
		}
	}
}
