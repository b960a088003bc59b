package fusefs

import (
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"strconv"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"thintree/fusefs/mounts"
	"thintree/fusefs/tree"
)

// Options say how a tree is mounted.
type Options struct {
	// Source is shown in the first column of df and mount.
	Source string
	// AllowOther lets in other users than the one who mounts, as far as the modes and
	// ACLs in the volumes permit it. Without it the user who mounts sees everything, and
	// other users nothing.
	AllowOther bool
	// CheckPermissions applies the modes and ACLs to the user who mounts too.
	CheckPermissions bool
	// NoExec forbids to run programs in volumes, NoSymFollow to follow links.
	NoExec, NoSymFollow bool
	// MaxRead is how many bytes the kernel may ask for in one request: at least a page,
	// at most 1 MiB; 0 is 1 MiB.
	MaxRead int
	Log     *slog.Logger
}

// flags returns the names of mount(8)'s options that the mount gets, and their flags.
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

// maxRequest is the most bytes that a request reads.
const maxRequest = 1 << 20

// Mount is a mounted tree. Its methods may be called concurrently.
type Mount struct {
	entry mounts.Entry  // no mount if it was unmounted at once
	done  chan struct{} // closed when the kernel has closed the connection
}

// New mounts a tree at a folder, read only, and serves it. Root mounts by itself, other
// users by fusermount3. It returns when the tree can be used.
func New(t *tree.Tree, folder string, o Options) (*Mount, error) {
	where, err := mounts.Prepare(folder)
	if err != nil {
		return nil, err
	}
	if err := mounts.CheckPermitted(where, o.AllowOther); err != nil {
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
		// go-fuse gives the kernel one limit for reads and writes. There are no writes.
		opts.MaxWrite = min(max(o.MaxRead, os.Getpagesize()), maxRequest)
	}
	names, flags := o.flags()
	if os.Geteuid() == 0 {
		opts.DirectMountStrict, opts.DirectMountFlags = true, flags
	} else {
		opts.Options = append(opts.Options, names...)
	}
	if o.AllowOther || o.CheckPermissions {
		// The kernel checks modes and ACLs: only it knows all groups of a caller.
		opts.Options = append(opts.Options, "default_permissions")
		opts.EnableAcl = true
	}
	fs, err := fuse.NewServer(s, where, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: mounting: %w", folder, err)
	}
	if err := keepFromChildren(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: mounting: %w", folder, err), fs.Unmount())
	}
	m := &Mount{entry: mounts.Entry{Path: where}, done: make(chan struct{})}
	go func() {
		fs.Serve()
		close(m.done)
	}()
	if err := fs.WaitMount(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: mounting: %w", folder, err), m.Unmount())
	}
	now, err := mounts.Find(where)
	if err != nil {
		return nil, errors.Join(err, m.entry.Detach(true))
	}
	if now.IsTree() {
		m.entry = now
		for _, name := range names {
			if !now.HasOption(name) {
				return nil, errors.Join(fmt.Errorf("%s: mounting: this kernel cannot mount %s", folder, name), m.Unmount())
			}
		}
	}
	if err := m.raiseReadAhead(); err != nil {
		o.Log.Debug("the kernel's read-ahead stays as it is", "error", err)
	}
	return m, nil
}

// keepFromChildren sets close-on-exec on this process's connection to the kernel, which
// go-fuse does not. If a child process that outlives this one had it, the tree would not
// be dead, and its callers would wait for ever.
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

// Device is the device number of the mount.
func (m *Mount) Device() (major, minor int) { return m.entry.Device() }

// Connection opens the kernel's end of the tree.
func (m *Mount) Connection() (*mounts.Connection, error) { return m.entry.Connection() }

// Done is closed when the tree has been unmounted, by this process or another one.
func (m *Mount) Done() <-chan struct{} { return m.done }

// Unmount unmounts the tree. If files in it are open, it is removed from the namespace at
// once, and its users get ENOTCONN when this process ends.
func (m *Mount) Unmount() error {
	select {
	case <-m.done:
		return nil
	default:
	}
	now, err := mounts.Find(m.entry.Path)
	if err != nil {
		return err
	}
	if !now.IsMount() {
		return nil // another process has unmounted it lazily
	}
	if !now.HasDeviceOf(m.entry) {
		return fmt.Errorf("%[1]s: something else is mounted over the tree, which stays there, dead: unmount that, then thintree umount %[1]s", now.Path)
	}
	err = now.Detach(false)
	if errors.Is(err, syscall.EBUSY) {
		err = now.Detach(true)
	}
	return err
}
