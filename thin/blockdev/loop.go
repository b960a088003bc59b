package blockdev

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// LoopMajor is the major number of loop devices.
const LoopMajor = 7

// LoopStatus returns the status of the loop device that is open as fd. Its path is for errors.
// The error wraps ENXIO if the device is not attached to a file.
func LoopStatus(fd int, path string) (*unix.LoopInfo64, error) {
	status, err := unix.IoctlLoopGetStatus64(fd)
	switch {
	case errors.Is(err, unix.ENXIO):
		return nil, fmt.Errorf("%s is not attached to a file: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("%s: LOOP_GET_STATUS64: %w", path, err)
	}
	return status, nil
}

// LoopFile returns the path of the file that a loop device is attached to, as the kernel shows it
// in dir, the device's folder in sysfs. If the file was deleted, the path ends with " (deleted)".
func LoopFile(dir string) (path string, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "loop/backing_file"))
	return strings.TrimSuffix(string(text), "\n"), err
}
