package deviceset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"github.com/moby/sys/mount"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"thintree/thin/block"
	"thintree/volfs/probe"
)

// filesystems works with filesystems on block devices. host does that on this host; tests
// without block devices have a fake.
type filesystems interface {
	// make makes a filesystem. args are arguments for mkfs.
	make(ctx context.Context, fs string, args []string, device string) error
	// identify returns the type and the UUID of the filesystem on a device.
	identify(ctx context.Context, device string) (fs, uuid string, err error)
	// grow grows the filesystem mounted at dir to the length of its device.
	grow(ctx context.Context, fs, device, dir string) error
	mount(device, dir, fs, options string) error
	// unmount unmounts dir. With lazily a mount in use is detached, and ends with its last
	// user.
	unmount(dir string, lazily bool) error
	// mounts lists the mount points of a device, the latest first.
	mounts(number uint64) ([]string, error)
}

type host struct{}

// mkfsArgs are the arguments for every mkfs of a type. They leave no work to the first
// mount, because each snapshot would repeat it.
var mkfsArgs = map[string][]string{
	ext4: {"-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"},
	xfs:  {"-q", "-f", "-K"},
}

func (host) make(ctx context.Context, fs string, args []string, device string) error {
	all := append(append([]string{}, mkfsArgs[fs]...), args...)
	return program(ctx, "mkfs."+fs, append(all, device)...)
}

func (host) grow(ctx context.Context, fs, device, dir string) error {
	if fs == xfs {
		return program(ctx, "xfs_growfs", "-d", dir)
	}
	return program(ctx, "resize2fs", device)
}

// program runs a program that ends with this process. Otherwise it might go on writing to a
// device that a later process has deleted or replaced.
func program(ctx context.Context, name string, args ...string) error {
	runtime.LockOSThread() // Pdeathsig comes when the thread that started the program ends
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.Join(strings.Fields(string(out)), " "))
	}
	return nil
}

func (host) identify(ctx context.Context, device string) (fs, uuid string, err error) {
	f, err := block.Open(device, block.Options{Direct: true})
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	r, err := probe.Probe(ctx, f)
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", device, err)
	}
	if r.Kind != probe.KindFilesystem {
		return "", "", fmt.Errorf("%s: not a filesystem: %s", device, r.Kind)
	}
	return r.Signatures[0].Type, r.Signatures[0].UUID, nil
}

func (host) mount(device, dir, fs, options string) error {
	return mount.Mount(device, dir, fs, options)
}

func (host) unmount(dir string, lazily bool) error {
	flags := unix.UMOUNT_NOFOLLOW
	if lazily {
		flags |= unix.MNT_DETACH
	}
	if err := unix.Unmount(dir, flags); err != nil {
		return &os.PathError{Op: "unmount", Path: dir, Err: err}
	}
	return nil
}

func (host) mounts(number uint64) ([]string, error) {
	found, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return unix.Mkdev(uint32(m.Major), uint32(m.Minor)) != number, false
	})
	var dirs []string
	for _, m := range found {
		dirs = append([]string{m.Mountpoint}, dirs...)
	}
	return dirs, err
}

// grow grows a device's filesystem to the length of the device. The caller has its lock.
func (s *DeviceSet) grow(ctx context.Context, d *device) error {
	return s.mounted(ctx, d, func(device, fs, dir string) error {
		return s.fs.grow(ctx, fs, device, dir)
	})
}

// mounted mounts a device at a temporary folder, calls run, and unmounts it. The caller has
// its lock.
func (s *DeviceSet) mounted(ctx context.Context, d *device, run func(device, fs, dir string) error) error {
	return s.while(ctx, d, false, func(device string) (err error) {
		fs, _, err := s.fs.identify(ctx, device)
		if err != nil {
			return err
		}
		dir, err := os.MkdirTemp(s.root, mountPrefix+"*")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.Remove(dir)) }()
		if err := s.fs.mount(device, dir, fs, mountOptions(fs, s.opts.MountOptions, "")); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.fs.unmount(dir, false)) }()
		return run(device, fs, dir)
	})
}
