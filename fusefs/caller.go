package fusefs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"thintree/fusefs/capability"
)

// maySeeTrusted reports whether the kernel's own filesystems would list the attributes
// trusted.* to a thread: it has CAP_SYS_ADMIN over the host. The answer is no if this
// process cannot find out. A thread of a PID namespace that is not visible from here has
// the id 0.
func maySeeTrusted(thread uint32) bool {
	if thread == 0 || !procIsOurs() {
		return false
	}
	set, err := capability.Of(int(thread))
	return err == nil && set.Has(unix.CAP_SYS_ADMIN)
}

// procIsOurs reports whether /proc has the ids of this process's PID namespace, as FUSE
// does.
var procIsOurs = sync.OnceValue(func() bool {
	self, err := os.Readlink("/proc/self")
	return err == nil && self == strconv.Itoa(os.Getpid())
})

// dying reports whether a signal is about to end a thread, as far as the kernel shows
// that. It is true of a thread that has ended.
func dying(thread uint32) bool {
	m, err := signalsOf(thread)
	if err != nil {
		return thread != 0 && errors.Is(err, fs.ErrNotExist)
	}
	pending, handled := m["SigPnd"]|m["ShdPnd"], m["SigBlk"]|m["SigIgn"]|m["SigCgt"]
	return pending&^handled&^harmless != 0
}

// harmless are the signals that do not end a process by default: signal(7).
const harmless = 1<<(unix.SIGCHLD-1) | 1<<(unix.SIGCONT-1) | 1<<(unix.SIGURG-1) | 1<<(unix.SIGWINCH-1) |
	1<<(unix.SIGSTOP-1) | 1<<(unix.SIGTSTP-1) | 1<<(unix.SIGTTIN-1) | 1<<(unix.SIGTTOU-1)

// signalsOf returns a thread's sets of signals, by their names in /proc/THREAD/status:
// proc_pid_status(5). Signal n is bit n-1.
func signalsOf(thread uint32) (map[string]uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", thread))
	if err != nil {
		return nil, err
	}
	sets := make(map[string]uint64)
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt":
			if sets[name], err = strconv.ParseUint(strings.TrimSpace(value), 16, 64); err != nil {
				return nil, fmt.Errorf("/proc/%d/status: %w", thread, err)
			}
		}
	}
	return sets, nil
}
