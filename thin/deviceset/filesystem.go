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

// filesystems is what a DeviceSet does with filesystems on block devices. host
// is this host's; a test has its own where there are no block devices.
type filesystems interface {
	// make makes one, with arguments for mkfs.
	make(ctx context.Context, fs string, args []string, device string) error
	// identify tells which one is on a device, and its UUID.
	identify(ctx context.Context, device string) (fs, uuid string, err error)
	// grow makes the one that is mounted at dir as long as its device.
	grow(ctx context.Context, fs, device, dir string) error
	mount(device, dir, fs, options string) error
	// unmount unmounts; lazily, what is in use goes with its last user.
	unmount(dir string, lazily bool) error
	// mounts lists where a device of a number is mounted, the latest first.
	mounts(number uint64) ([]string, error)
}

type host struct{}

// mkfsArgs are arguments that every filesystem of a kind is made with: nothing is
// left to be done at a mount, where it would be done once for each snapshot.
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

// program runs one that ends with this process: it would go on to write to a
// device that the next one has deleted, or made anew under the same number.
func program(ctx context.Context, name string, args ...string) error {
	runtime.LockOSThread() // it ends with the thread that started it
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
		return "", "", fmt.Errorf("%s: no filesystem: %s", device, r.Kind)
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

// grow makes a device's filesystem as long as the device. The caller has its lock.
func (s *DeviceSet) grow(ctx context.Context, d *device) error {
	return s.mounted(ctx, d, func(device, fs, dir string) error {
		return s.fs.grow(ctx, fs, device, dir)
	})
}

// mounted runs what needs a device's filesystem mounted, anywhere. The caller has
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
