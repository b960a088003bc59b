package fusefs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"thintree/fusefs/tree"
)

// Options say how a tree is mounted.
type Options struct {
	// Source is what stands in the first column of df and mount.
	Source string
	// AllowOther lets other users in, held to the modes and ACLs in the volumes.
	// Without it the user who mounts sees all, and nobody else anything.
	AllowOther bool
	// CheckPermissions holds the user who mounts to the modes and ACLs too.
	CheckPermissions bool
	// NoExec lets no program in a volume be run, NoSymFollow no link be followed.
	NoExec, NoSymFollow bool
	// MaxRead is how many bytes the kernel asks for at once, at least a page; 0 is as
	// many as it likes.
	MaxRead int
	Log     *slog.Logger
}

// flags are the options of mount(8) for which the kernel has a flag, and these.
func (o Options) flags() (names []string, flags uintptr) {
	for _, f := range []struct {
		is   bool
		name string
		flag uintptr
	}{
		{true, "ro", unix.MS_RDONLY},
		{true, "nosuid", unix.MS_NOSUID},
		{true, "nodev", unix.MS_NODEV},
		{o.NoExec, "noexec", unix.MS_NOEXEC},
		{o.NoSymFollow, "nosymfollow", unix.MS_NOSYMFOLLOW},
	} {
		if f.is {
			names, flags = append(names, f.name), flags|f.flag
		}
	}
	return names, flags
}

// maxRequest is how many bytes a request moves at most.
const maxRequest = 1 << 20

// Mount is a mounted tree.
type Mount struct {
	mountpoint   string
	major, minor int             // its device number, by which it is told from other mounts there
	on           *mountinfo.Info // nil if it was unmounted at once
	done         chan struct{}   // closed once the kernel has let go of it
}

// New mounts a tree at a folder, read only, and serves it. Root mounts by itself,
// others by fusermount3. It returns once the tree can be used.
func New(t *tree.Tree, mountpoint string, o Options) (*Mount, error) {
	where, err := Prepare(mountpoint)
	if err != nil {
		return nil, err
	}
	if err := permitted(where, o.AllowOther); err != nil {
		return nil, err
	}
	if err := easeRuntime(); err != nil {
		o.Log.Debug("the kernel's timers stay as they are", "error", err)
	}
	s := &server{RawFileSystem: fuse.NewDefaultRawFileSystem(), tree: t, log: o.Log}
	opts := &fuse.MountOptions{
		Name: "thintree", FsName: o.Source, AllowOther: o.AllowOther,
		MaxWrite: maxRequest, MaxBackground: 64,
		ExtraCapabilities: fuse.CAP_NO_OPENDIR_SUPPORT | fuse.CAP_ASYNC_DIO,
		Logger:            log.New(io.Discard, "", 0),
	}
	if o.MaxRead > 0 {
		// The library tells the kernel the same of reads as of writes, of which there
		// are none.
		opts.MaxWrite = min(max(o.MaxRead, os.Getpagesize()), maxRequest)
	}
	names, flags := o.flags()
	if os.Geteuid() == 0 {
		opts.DirectMountStrict, opts.DirectMountFlags = true, flags
	} else {
		opts.Options = append(opts.Options, names...)
	}
	if o.AllowOther || o.CheckPermissions {
		// Only the kernel knows who asks, with all groups; it checks the modes,
		// and the ACLs too, which modes alone would not show.
		opts.Options = append(opts.Options, "default_permissions")
		opts.EnableAcl = true
	}
	fs, err := fuse.NewServer(s, where, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: mounting: %w", mountpoint, err)
	}
	if err := keepFromChildren(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: mounting: %w", mountpoint, err), fs.Unmount())
	}
	m := &Mount{mountpoint: where, done: make(chan struct{})}
	go func() {
		fs.Serve()
		close(m.done)
	}()
	if err := fs.WaitMount(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: mounting: %w", mountpoint, err), m.Unmount())
	}
	_, on, err := find(where)
	if err != nil {
		return nil, errors.Join(err, detach(where, true))
	}
	if isTree(on) {
		m.major, m.minor, m.on = on.Major, on.Minor, on
		for _, name := range names {
			if !slices.Contains(strings.Split(on.Options, ","), name) {
				return nil, errors.Join(fmt.Errorf("%s: mounting: this kernel cannot mount %s", mountpoint, name), m.Unmount())
			}
		}
	}
	if err := m.raiseReadAhead(); err != nil {
		o.Log.Debug("the kernel's read-ahead stays as it is", "error", err)
	}
	return m, nil
}

// keepFromChildren closes the connection to the kernel in the programs that this
// process starts, as the library does not: in one that outlives it, the tree
// would not be dead, and whoever asks it would wait for ever.
func keepFromChildren() error {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range fds {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || to != "/dev/fuse" {
			continue
		}
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			return err
		}
		syscall.CloseOnExec(fd)
	}
	return nil
}

// Connection opens the kernel's end of the tree.
func (m *Mount) Connection() (*Connection, error) {
	if m.on == nil {
		return nil, errGone
	}
	return openConnection(m.on)
}

// Done is closed once the tree is unmounted, by whomever.
func (m *Mount) Done() <-chan struct{} { return m.done }

// Unmount unmounts the tree. Where files in it are open it goes from the
// namespace at once, and what holds it gets ENOTCONN when this process ends.
func (m *Mount) Unmount() error {
	select {
	case <-m.done:
		return nil
	default:
	}
	_, on, err := find(m.mountpoint)
	if err != nil {
		return err
	}
	if on == nil {
		return nil // somebody has taken it away, and files in it are open
	}
	if on.Major != m.major || on.Minor != m.minor {
		return fmt.Errorf("%s: something else is mounted over the tree: it stays there, dead, until that is unmounted: then thintree umount %s", m.mountpoint, m.mountpoint)
	}
	err = detach(m.mountpoint, false)
	if errors.Is(err, syscall.EBUSY) {
		err = detach(m.mountpoint, true)
	}
	return err
}

// permitted says in advance, with what to do, why a mount would fail.
func permitted(mountpoint string, allowOther bool) error {
	dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("FUSE cannot be used: %w: is the module loaded (modprobe fuse), or the device passed into this container?", err)
	}
	dev.Close()
	if os.Geteuid() == 0 {
		return nil
	}
	if _, err := fusermount(); err != nil {
		return err
	}
	if err := syscall.Access(mountpoint, 2); err != nil {
		return fmt.Errorf("%s: %w: who is not root can mount only on a folder that they may write to", mountpoint, err)
	}
	if allowOther && !userAllowOther() {
		return errors.New("--allow-other: only root may, unless the line user_allow_other stands in /etc/fuse.conf")
	}
	return nil
}

func userAllowOther() bool {
	f, err := os.Open("/etc/fuse.conf")
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.TrimSpace(lines.Text()) == "user_allow_other" {
			return true
		}
	}
	return false
}

// fusermount finds the program that mounts for who is not root.
func fusermount() (string, error) {
	for _, name := range []string{"fusermount3", "fusermount"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("fusermount3: not found: install the package fuse3, or run as root")
}
