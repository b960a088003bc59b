package fusefs

import (
	"bufio"
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
	dir := fmt.Sprintf("/proc/%d", thread)
	namespace, err := os.Readlink(dir + "/ns/user")
	if namespace != firstUserNamespace && !(errors.Is(err, fs.ErrNotExist) && noUserNamespaces()) {
		return false
	}
	caps, err := effectiveCaps(dir + "/status")
	return err == nil && caps&(1<<unix.CAP_SYS_ADMIN) != 0
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

// effectiveCaps are the effective capabilities in a file status of /proc.
func effectiveCaps(path string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if hex, ok := strings.CutPrefix(lines.Text(), "CapEff:"); ok {
			return strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		}
	}
	return 0, errors.Join(fmt.Errorf("%s: no line CapEff", path), lines.Err())
}
