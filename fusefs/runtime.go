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
	// timerSlack is how much later than asked for the kernel may end a sleep of ours.
	timerSlack = time.Millisecond
	// procsPerCPU are how many threads may run Go code at once, for each CPU.
	procsPerCPU = 2
)

// easeRuntime keeps Go's runtime out of the way of requests. Most goroutines here wait
// in system calls. One keeps its right to run Go code in there until the thread that
// watches over the others sees it, so there have to be more rights than CPUs, or what
// could run waits for that thread. Which looks every 20 µs, and on a machine with few
// CPUs interrupts the rest by it: with a coarser timer it seldom does. Only a process
// with CAP_SYS_NICE may tell the kernel so of its threads; new ones inherit it.
func easeRuntime() error {
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), procsPerCPU*runtime.NumCPU()))
	eased := make(map[string]bool)
	for more := true; more; { // a thread may have begun another one meanwhile
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

// raiseSlack raises the timer slack of a thread, if it is too low. The kernel gives a
// thread of real time none.
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
