package fusefs

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// timerSlack is how much too late the kernel may end a sleep of this process.
	timerSlack = time.Millisecond
	// procsPerCPU is how many threads may run Go code at once, for each CPU.
	procsPerCPU = 2
)

// easeRuntime keeps Go's scheduler out of the way of requests. Most goroutines of this
// process wait in system calls. A goroutine in a system call keeps its processor (its
// right to run Go code) until the scheduler's monitor thread takes that away. So with one
// processor for each CPU, runnable goroutines would wait for the monitor.
//
// The monitor wakes up every 20 µs, which interrupts other threads on a machine with few
// CPUs. Coarser timers make it wake up less often. Only a process with CAP_SYS_NICE may
// set them for its other threads. New threads inherit them.
func easeRuntime() error {
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), procsPerCPU*runtime.NumCPU()))
	eased := make(map[string]bool)
	for more := true; more; { // until no thread has started another one meanwhile
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		more = false
		for _, t := range threads {
			if eased[t.Name()] {
				continue
			}
			eased[t.Name()], more = true, true
			err := raiseSlack(filepath.Join("/proc", t.Name(), "timerslack_ns"))
			ended := errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH)
			if err != nil && !ended {
				return err
			}
		}
	}
	return nil
}

// raiseSlack raises the timer slack of a thread to timerSlack. The kernel applies none to
// real-time threads.
func raiseSlack(file string) error {
	now, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if ns, err := strconv.ParseInt(strings.TrimSpace(string(now)), 10, 64); err != nil || ns >= int64(timerSlack) {
		return err
	}
	return os.WriteFile(file, strconv.AppendInt(nil, int64(timerSlack), 10), 0)
}
