// Package capability is about the capabilities of a thread over this host
// (capabilities(7)). A process in a user namespace of its own can have all of them over
// that namespace, and none over the host (user_namespaces(7)).
package capability

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// hostNamespace is what /proc/THREAD/ns/user links to for threads in the host's user
// namespace. The number is PROC_USER_INIT_INO of include/linux/proc_ns.h of Linux.
const hostNamespace = "user:[4026531837]"

// Set is a set of capabilities.
type Set uint64

// Has reports whether a capability, such as [unix.CAP_CHOWN], is in the set.
func (s Set) Has(capability int) bool { return s>>capability&1 != 0 }

// Of returns the effective capabilities of a thread over the host. The thread's id, above
// 0, is that in this process's PID namespace. The set is empty if the thread is in another
// user namespace, and after an error: what another user's thread may do can be hidden from
// this process.
func Of(thread int) (Set, error) { return of(strconv.Itoa(thread), thread) }

// Own returns what [Of] does for the calling thread.
func Own() (Set, error) { return of("self", 0) }

func of(inProc string, thread int) (Set, error) {
	namespace, err := os.Readlink("/proc/" + inProc + "/ns/user")
	if errors.Is(err, fs.ErrNotExist) && noNamespaces() {
		namespace, err = hostNamespace, nil
	}
	if err != nil || namespace != hostNamespace {
		return 0, err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3, Pid: int32(thread)}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, os.NewSyscallError("capget", err)
	}
	return Set(data[1].Effective)<<32 | Set(data[0].Effective), nil
}

// noNamespaces reports whether the kernel was built without user namespaces.
var noNamespaces = sync.OnceValue(func() bool {
	if _, err := os.Lstat("/proc/self/ns"); err != nil {
		return false // /proc is of another PID namespace, or not mounted
	}
	_, err := os.Lstat("/proc/self/ns/user")
	return errors.Is(err, fs.ErrNotExist)
})
