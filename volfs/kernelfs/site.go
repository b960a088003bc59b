package kernelfs

import (
	"fmt"
	"iter"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// site is the place of a mount: a path in the mount namespace of a process.
type site struct {
	process   string // its folder of /proc
	namespace string // as /proc names it
	path      string
}

// self is this process's folder of /proc.
const self = "self"

// sites yields the places where the filesystem is mounted, first those in our own mount
// namespace. For each other namespace it reads the mount table of one process.
func (l *live) sites() iter.Seq[site] {
	return func(yield func(site) bool) {
		seen := map[string]bool{"": true} // "" is that of a process that has ended
		for _, process := range append([]string{self}, processes()...) {
			namespace := namespaceOf(process)
			if seen[namespace] {
				continue
			}
			seen[namespace] = true
			table, err := os.ReadFile("/proc/" + process + "/mountinfo")
			if err != nil {
				continue
			}
			for line := range strings.Lines(string(table)) {
				m, ok := parseMount(line)
				if ok && l.isOf(m, process) && !yield(site{process, namespace, m.path}) {
					return
				}
			}
		}
	}
}

// processes returns the folders of all processes in /proc, by ascending id.
func processes() []string {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	names = slices.DeleteFunc(names, func(name string) bool {
		_, err := strconv.Atoi(name)
		return err != nil
	})
	slices.SortFunc(names, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return names
}

// namespaceOf returns the name of a process's mount namespace, "" if it has ended.
func namespaceOf(process string) string {
	name, _ := os.Readlink("/proc/" + process + "/ns/mnt")
	return name
}

// mounted is a line of mountinfo, proc_pid_mountinfo(5).
type mounted struct {
	number string // of the device: "254:3"
	root   string // the folder of the filesystem that is mounted
	path   string
	fstype string
	source string
}

func parseMount(line string) (mounted, bool) {
	before, after, ok := strings.Cut(line, " - ")
	at, is := strings.Fields(before), strings.Fields(after)
	if !ok || len(at) < 6 || len(is) < 2 {
		return mounted{}, false
	}
	return mounted{number: at[2], root: unescape.Replace(at[3]), path: unescape.Replace(at[4]), fstype: is[0], source: unescape.Replace(is[1])}, true
}

// unescape decodes the characters that would end a field, which the kernel escapes.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`, `\043`, "#")

// isOf reports whether a line of a process's mount table is a mount of the filesystem.
func (l *live) isOf(m mounted, process string) bool {
	if m.root != "/" {
		return false
	}
	switch l.fstype {
	case "ext2", "ext3", "ext4":
		return m.number == l.number() && magics[m.fstype] == magics[l.fstype]
	case "btrfs": // its device number belongs to no block device
		if m.fstype != "btrfs" {
			return false
		}
		var st unix.Stat_t
		if unix.Stat(m.source, &st) != nil && unix.Stat("/proc/"+process+"/root"+m.source, &st) != nil {
			return false
		}
		return st.Mode&unix.S_IFMT == unix.S_IFBLK && st.Rdev == l.device
	}
	return m.number == l.number() && m.fstype == l.fstype
}

// enter calls run in the mount namespace of a site.
func (s site) enter(run func() error) error {
	if s.process == self {
		return run()
	}
	done := make(chan error)
	go s.thread(done, run)
	return <-done
}

// thread calls run in the mount namespace of a site, and leaves that again. The thread of
// the goroutine has its own root folder afterwards, so no other goroutine may use it. It
// is locked to the goroutine, and ends with it.
func (s site) thread(done chan<- error, run func() error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The main thread never ends. While it is locked here, the other goroutine has
		// another thread.
		other := make(chan error)
		go s.thread(other, run)
		done <- <-other
		runtime.UnlockOSThread()
		return
	}
	done <- s.runInside(run)
}

func (s site) runInside(run func() error) (err error) {
	own, err := os.Open("/proc/thread-self/ns/mnt")
	if err != nil {
		return err
	}
	defer own.Close()
	if err := s.join(); err != nil {
		return err
	}
	// The namespace is not in use any more when this returns.
	defer func() {
		if back := unix.Setns(int(own.Fd()), unix.CLONE_NEWNS); err == nil && back != nil {
			err = os.NewSyscallError("setns", back)
		}
	}()
	return run()
}

// join moves this thread to the namespace.
func (s site) join() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	namespace, err := os.Open("/proc/" + s.process + "/ns/mnt")
	if err != nil {
		return err
	}
	defer namespace.Close()
	// The process may have ended, and another one may have its number.
	if now, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", namespace.Fd())); err != nil || now != s.namespace {
		return fmt.Errorf("process %s is in %s now, not in %s", s.process, now, s.namespace)
	}
	return os.NewSyscallError("setns", unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNS))
}
