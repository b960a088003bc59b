package cli

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"thintree/fusefs"
)

// daemonEnds is the signal that the watchdog gets when the daemon begins to end. It
// is one that does nothing to a process that does not ask for it.
const daemonEnds = syscall.SIGWINCH

const (
	// longestEnding is how long the daemon may take to end, once it has begun to.
	longestEnding = 2 * time.Second
	// longestStuck is how long a thread of it may wait without having run, once its
	// tree is unmounted.
	longestStuck = 5 * time.Second
	// longestFreed is how long it may take to end when nobody waits for it any more.
	longestFreed = 5 * time.Second
)

// await waits until the daemon has ended, or cannot, and frees all who wait for its
// tree. It gives what the daemon has told: the device number of its mount.
func await(owner string, ends <-chan os.Signal) (told string) {
	numbers, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		in := bufio.NewReader(os.Stdin)
		number, _ := in.ReadString('\n')
		numbers <- number
		io.Copy(io.Discard, in)
	}()
	stuck := make(chan struct{}, 1)
	var tree *fusefs.Connection // nil before it is known, or where it cannot be opened
	var limit <-chan time.Time
	for {
		select {
		case told = <-numbers:
			var major, minor int
			if _, err := fmt.Sscanf(told, "%d:%d\n", &major, &minor); err != nil {
				continue // it ends before it has mounted
			}
			tree, _ = fusefs.OpenConnection(major, minor)
			go func() {
				if fusefs.AwaitUnmount(major, minor) == nil {
					awaitStuck(owner)
					stuck <- struct{}{}
				}
			}()
			continue
		case <-ends:
			limit = time.After(longestEnding)
			continue
		case <-ended:
		case <-limit:
		case <-stuck:
		}
		break
	}
	select {
	case told = <-numbers: // it has ended at once
	default:
	}
	if tree != nil {
		tree.Abort()
		tree.Close()
	}
	select {
	case <-ended:
	case <-time.After(longestFreed):
	}
	return told
}

// awaitStuck waits until a thread of the daemon has been waiting for a disk or a
// filesystem for longestStuck, and has not run meanwhile.
func awaitStuck(owner string) {
	const looks = 5
	pid, _, _ := strings.Cut(owner, "-")
	since, count := map[string]string{}, 0
	for ; count < looks; time.Sleep(longestStuck / looks) {
		now := waiting(pid)
		maps.DeleteFunc(since, func(thread, runs string) bool { return now[thread] != runs })
		if count++; len(since) == 0 {
			since, count = now, 0
		}
	}
}

// waiting are the threads of a process that wait for a disk or a filesystem, each with
// how often it has run.
func waiting(pid string) map[string]string {
	threads, _ := filepath.Glob("/proc/" + pid + "/task/*")
	found := map[string]string{}
	for _, thread := range threads {
		text, err := os.ReadFile(thread + "/status")
		if err != nil {
			continue // it has ended
		}
		// Who waits for FUSE can be interrupted as long as no signal is there.
		at, _ := os.ReadFile(thread + "/wchan")
		if !strings.Contains(string(text), "\nState:\tD") && string(at) != "request_wait_answer" {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "voluntary_ctxt_switches:") {
				found[thread] = line
			}
		}
	}
	return found
}
