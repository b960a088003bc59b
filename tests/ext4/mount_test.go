package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// kernelMount is an image that the kernel has mounted, at no path.
type kernelMount struct {
	t     *testing.T
	fd    int
	loop  string // "loop3"
	image string
	once  sync.Once
}

// mount mounts an image with the options ("ro", "noload", "data=journal") and
// fails the test if the kernel refuses.
func mount(t *testing.T, image string, options ...string) *kernelMount {
	t.Helper()
	k, err := tryMount(t, image, options...)
	if err != nil {
		t.Fatalf("mount %s %v: %v", filepath.Base(image), options, err)
	}
	return k
}

// tryMount is mount for images that the kernel may refuse.
func tryMount(t *testing.T, image string, options ...string) (*kernelMount, error) {
	t.Helper()
	loop, err := attach(image, len(options) > 0 && options[0] == "ro")
	if err != nil {
		t.Fatal(err)
	}
	defer loop.Close()
	fd, err := mountDetached(loop.Name(), options)
	if err != nil {
		return nil, err
	}
	k := &kernelMount{t: t, fd: fd, loop: filepath.Base(loop.Name()), image: image}
	t.Cleanup(k.unmount)
	return k, nil
}

// path leads to the root of the mount, in this process only.
func (k *kernelMount) path() string { return fmt.Sprintf("/proc/self/fd/%d", k.fd) }

// sync writes out what the kernel holds back.
func (k *kernelMount) sync() {
	k.t.Helper()
	root, err := os.Open(k.path()) // k.fd is of the O_PATH kind
	if err != nil {
		k.t.Fatal(err)
	}
	defer root.Close()
	if err := unix.Syncfs(int(root.Fd())); err != nil {
		k.t.Fatalf("syncfs: %v", err)
	}
}

// unmount returns when the image is written and its loop device free.
func (k *kernelMount) unmount() {
	k.once.Do(func() {
		// A child that another test is about to start has our descriptors until
		// its exec; it would hold the mount.
		syscall.ForkLock.RLock()
		err := unix.Close(k.fd)
		syscall.ForkLock.RUnlock()
		if err != nil {
			k.t.Errorf("unmount: %v", err)
		}
		backing := "/sys/block/" + k.loop + "/loop/backing_file"
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
			held, err := os.ReadFile(backing)
			if err != nil || strings.TrimSpace(string(held)) != k.image {
				return
			}
			if time.Now().After(deadline) {
				k.t.Errorf("%s still holds %s after its unmount", k.loop, held)
				return
			}
		}
	})
}

// attach gives an image a loop device that goes with its last user.
func attach(image string, readOnly bool) (*os.File, error) {
	mode, flags := os.O_RDWR, uint32(unix.LO_FLAGS_AUTOCLEAR)
	if readOnly {
		mode, flags = os.O_RDONLY, flags|unix.LO_FLAGS_READ_ONLY
	}
	file, err := os.OpenFile(image, mode, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("LOOP_CTL_GET_FREE: %w", err)
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), mode, 0)
		if err != nil {
			return nil, err
		}
		config := unix.LoopConfig{Fd: uint32(file.Fd()), Info: unix.LoopInfo64{Flags: flags}}
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &config)
		if err == nil {
			return loop, nil
		}
		loop.Close()
		if !errors.Is(err, unix.EBUSY) { // somebody was faster
			return nil, fmt.Errorf("LOOP_CONFIGURE: %w", err)
		}
	}
}

// mountDetached gives the descriptor of a new mount's root.
func mountDetached(device string, options []string) (int, error) {
	fs, err := unix.Fsopen("ext4", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fsopen: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetString(fs, "source", device); err != nil {
		return -1, fmt.Errorf("source: %w", err)
	}
	for _, option := range options {
		if name, value, ok := strings.Cut(option, "="); ok {
			err = unix.FsconfigSetString(fs, name, value)
		} else {
			err = unix.FsconfigSetFlag(fs, option)
		}
		if err != nil {
			return -1, fmt.Errorf("option %s: %w", option, err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("%w: %s", err, mountLog(fs))
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOATIME)
	if err != nil {
		return -1, fmt.Errorf("fsmount: %w", err)
	}
	return fd, nil
}

// mountLog reads what the kernel has to say about a mount.
func mountLog(fs int) string {
	var lines []string
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(fs, buf)
		if n <= 0 || err != nil {
			return strings.Join(lines, "; ")
		}
		lines = append(lines, string(bytes.TrimSpace(buf[:n])))
	}
}
