package cli

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"thintree/fusefs/mounts"
)

// daemonEnds is the signal that the watchdog gets when the daemon begins to end. By
// default this signal is ignored.
const daemonEnds = syscall.SIGWINCH

const (
	// longestEnding is how long the daemon may take to end after the signal.
	longestEnding = 2 * time.Second
	// longestStuck is how long a thread of the daemon may wait without running after the
	// tree was unmounted.
	longestStuck = 5 * time.Second
	// longestFreed is how long the daemon may take to end after its connection was aborted.
	longestFreed = 5 * time.Second
)

// await waits until the daemon has ended, or is unable to end, and frees the processes that wait
// for its tree. It returns the device number that the daemon sent, "" if it sent none.
func await(owner string, ends <-chan os.Signal) (device string) {
	mounted, ended := make(chan message, 1), make(chan struct{})
	go func() {
		defer close(ended)
		mounted <- receive()
		io.Copy(io.Discard, os.Stdin)
	}()
	stuck := make(chan struct{}, 1)
	var m message
	var limit <-chan time.Time
	for {
		select {
		case m = <-mounted:
			var major, minor int
			if _, err := fmt.Sscanf(m.device, "%d:%d\n", &major, &minor); err != nil {
				continue // the daemon ends before it has mounted the tree
			}
			go func() {
				if mounts.AwaitUnmount(major, minor) == nil {
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
	case m = <-mounted: // the daemon ended right after it had sent this
	default:
	}
	if m.tree != nil {
		m.tree.Abort()
		m.tree.Close()
	}
	select {
	case <-ended:
	case <-time.After(longestFreed):
	}
	return m.device
}

// message is what the daemon sends after it has mounted its tree.
type message struct {
	device string             // the mount's number, "" if the daemon ended before
	tree   *mounts.Connection // nil if the daemon could not open it
}

// receive waits for the message, or the end of the socket.
func receive() (m message) {
	text, rights := make([]byte, 64), make([]byte, unix.CmsgSpace(4))
	n, given, _, _, err := unix.Recvmsg(int(os.Stdin.Fd()), text, rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return message{}
	}
	m.device = string(text[:n])
	all, err := unix.ParseSocketControlMessage(rights[:given])
	if err != nil || len(all) == 0 {
		return m
	}
	if fds, err := unix.ParseUnixRights(&all[0]); err == nil && len(fds) == 1 {
		m.tree = mounts.ConnectionOf(os.NewFile(uintptr(fds[0]), "abort"))
	}
	return m
}

// awaitStuck waits until a thread of the daemon has waited for a disk or a filesystem for
// longestStuck, without running meanwhile.
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

// waiting returns the threads of a process that wait for a disk or a filesystem, each with
// a line that says how often it has run.
func waiting(pid string) map[string]string {
	threads, _ := filepath.Glob("/proc/" + pid + "/task/*")
	found := map[string]string{}
	for _, thread := range threads {
		text, err := os.ReadFile(thread + "/status")
		if err != nil {
			continue // the thread has ended
		}
		// A thread that waits for FUSE is in state S until it gets a signal.
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
