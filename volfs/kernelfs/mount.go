package kernelfs

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// detached mounts the filesystem on a block device and returns its root folder.
func detached(device *os.File, fstype string, j volfs.Journal) (*os.File, error) {
	opts, ok := options[fstype]
	if !ok {
		return nil, &volfs.UnsupportedError{FS: fstype, What: "reading it through the kernel"}
	}
	name := cmp.Or(kernelNames[fstype], fstype)
	conf, err := unix.Fsopen(name, unix.FSOPEN_CLOEXEC)
	if err == unix.ENODEV {
		return nil, &volfs.UnsupportedError{FS: fstype, What: "a filesystem that this kernel has not (modprobe " + name + "?)"}
	}
	if err != nil {
		return nil, os.NewSyscallError("fsopen "+name, err)
	}
	defer unix.Close(conf)
	var node string
	if fstype == "btrfs" {
		if node, err = nodeOf(device); err != nil {
			return nil, err
		}
	}
	if err := configure(conf, device, node, optionsFor(opts, j)); err != nil {
		return nil, fmt.Errorf("mount %s: %w%s", device.Name(), err, messages(conf))
	}
	mount, err := unix.Fsmount(conf, unix.FSMOUNT_CLOEXEC, harmless)
	if err != nil {
		return nil, os.NewSyscallError("fsmount", err)
	}
	return rootOf(mount, device.Name())
}

// harmless are the attributes of every mount made here.
const harmless = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_NOATIME

// rootOf opens the root folder of a mount and closes mount. Handles are opened with a
// folder that is open for reading. The descriptor of a mount is only a path.
func rootOf(mount int, device string) (*os.File, error) {
	defer unix.Close(mount)
	root, err := unix.Openat(mount, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("open", err)
	}
	return os.NewFile(uintptr(root), device+":/"), nil
}

// configure asks the kernel to read the filesystem on a device, or to find the one that is
// mounted already. node is the path of the device. If it is "", the device is found by its
// descriptor: another device could have its path by now.
func configure(conf int, device *os.File, node string, opts []option) error {
	conn, err := device.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := conn.Control(func(fd uintptr) {
		failed = unix.FsconfigSetString(conf, "source", cmp.Or(node, fmt.Sprintf("/proc/self/fd/%d", fd)))
		for _, o := range opts {
			if failed != nil {
				break
			}
			if o.value == "" {
				failed = unix.FsconfigSetFlag(conf, o.key)
			} else {
				failed = unix.FsconfigSetString(conf, o.key, o.value)
			}
		}
		if failed == nil {
			failed = unix.FsconfigCreate(conf)
		}
	}); err != nil {
		return err
	}
	return failed
}

// messages returns what the kernel says about a mount that failed, "" if it says nothing.
func messages(conf int) string {
	var all []string
	buf := make([]byte, 4096)
	for range 16 {
		n, err := unix.Read(conf, buf)
		if err != nil || n == 0 {
			break
		}
		all = append(all, strings.TrimSpace(string(buf[:n])))
	}
	if all == nil {
		return ""
	}
	return ": " + strings.Join(all, "; ")
}
