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
)

// maySeeTrusted reports whether the kernel's own filesystems would list a thread the
// attributes trusted.*: it has CAP_SYS_ADMIN in the first user namespace. The answer is
// no if that cannot be told: a thread of another PID namespace has the id 0 here, and
// what another user's thread may do can be hidden from this process.
func maySeeTrusted(thread uint32) bool {
	if thread == 0 || !procIsOurs() {
		return false
	}
	namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/user", thread))
	if namespace != firstUserNamespace && !(errors.Is(err, fs.ErrNotExist) && noUserNamespaces()) {
		return false
	}
	m, err := masksOf(thread)
	return err == nil && m["CapEff"]&(1<<unix.CAP_SYS_ADMIN) != 0
}

// firstUserNamespace has the number PROC_USER_INIT_INO of include/linux/proc_ns.h.
const firstUserNamespace = "user:[4026531837]"

// procIsOurs reports whether /proc has the ids of this process's PID namespace, as FUSE
// does.
var procIsOurs = sync.OnceValue(func() bool {
	self, err := os.Readlink("/proc/self")
	return err == nil && self == strconv.Itoa(os.Getpid())
})

// noUserNamespaces reports whether the kernel was built without them.
var noUserNamespaces = sync.OnceValue(func() bool {
	_, err := os.Lstat("/proc/self/ns/user")
	return errors.Is(err, fs.ErrNotExist)
})

// dying reports whether a thread is about to end by a signal, as far as the kernel shows. A
// thread that is not there any more is.
func dying(thread uint32) bool {
	m, err := masksOf(thread)
	if err != nil {
		return thread != 0 && errors.Is(err, fs.ErrNotExist)
	}
	pending, handled := m["SigPnd"]|m["ShdPnd"], m["SigBlk"]|m["SigIgn"]|m["SigCgt"]
	return pending&^handled&^harmless != 0
}

// harmless are the signals that end no process which does not handle them.
const harmless = 1<<(unix.SIGCHLD-1) | 1<<(unix.SIGCONT-1) | 1<<(unix.SIGURG-1) | 1<<(unix.SIGWINCH-1) |
	1<<(unix.SIGSTOP-1) | 1<<(unix.SIGTSTP-1) | 1<<(unix.SIGTTIN-1) | 1<<(unix.SIGTTOU-1)

// masksOf are the sets of signals and capabilities of a thread, by their names in
// /proc/THREAD/status: proc(5).
func masksOf(thread uint32) (map[string]uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", thread))
	if err != nil {
		return nil, err
	}
	masks := make(map[string]uint64)
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "CapEff":
			if masks[name], err = strconv.ParseUint(strings.TrimSpace(value), 16, 64); err != nil {
				return nil, fmt.Errorf("/proc/%d/status: %w", thread, err)
			}
		}
	}
	return masks, nil
}
