// Package devnum writes the numbers of block devices, as unix.Mkdev makes them, as
// the kernel writes them, and says where sysfs describes a device: the kernel's
// Documentation/ABI/stable/sysfs-dev.
package devnum

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// Text is a device number as MAJOR:MINOR, both decimal.
func Text(number uint64) string {
	return strconv.FormatUint(uint64(unix.Major(number)), 10) + ":" + strconv.FormatUint(uint64(unix.Minor(number)), 10)
}

// Sysfs is the path of the link to the folder of a block device in sysfs. The
// kernel has it as long as the device exists.
func Sysfs(number uint64) string { return "/sys/dev/block/" + Text(number) }
