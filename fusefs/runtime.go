package fusefs

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
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
	threads, err := os.ReadDir("/proc/self/task")
	errs := []error{err}
	for _, t := range threads {
		errs = append(errs, raiseSlack(filepath.Join("/proc", t.Name(), "timerslack_ns")))
	}
	return errors.Join(errs...)
}

func raiseSlack(file string) error {
	now, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil // the thread has ended
	}
	if err != nil {
		return err
	}
	if ns, err := strconv.ParseInt(strings.TrimSpace(string(now)), 10, 64); err != nil || ns >= int64(timerSlack) {
		return err
	}
	return os.WriteFile(file, strconv.AppendInt(nil, int64(timerSlack), 10), 0)
}
