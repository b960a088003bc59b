package fusefs

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// harmless are the signals that end no process which does not handle them.
const harmless = 1<<(unix.SIGCHLD-1) | 1<<(unix.SIGCONT-1) | 1<<(unix.SIGURG-1) | 1<<(unix.SIGWINCH-1) |
	1<<(unix.SIGSTOP-1) | 1<<(unix.SIGTSTP-1) | 1<<(unix.SIGTTIN-1) | 1<<(unix.SIGTTOU-1)

// dying reports whether a thread is about to end by a signal, as far as the kernel shows:
// proc(5), status. A thread that is not there any more is.
func dying(thread uint32) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", thread))
	if err != nil {
		return thread != 0 && os.IsNotExist(err)
	}
	var pending, handled uint64
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		mask, _ := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		switch name {
		case "SigPnd", "ShdPnd":
			pending |= mask
		case "SigBlk", "SigIgn", "SigCgt":
			handled |= mask
		}
	}
	return pending&^handled&^harmless != 0
}
