// Package blockdev says how the kernel describes block devices: in what it counts, how it writes
// their numbers, where sysfs describes them, and to which file a loop device is attached.
//
// The sources are loop(4) and the kernel's Documentation/ABI (stable/sysfs-dev,
// testing/sysfs-block-loop).
package blockdev

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// SectorBytes is the length of a sector, in which device-mapper, sysfs and st_blocks count.
const SectorBytes = 512

// Text is a device number, as unix.Mkdev makes it, as MAJOR:MINOR, both decimal.
func Text(number uint64) string {
	return strconv.FormatUint(uint64(unix.Major(number)), 10) + ":" + strconv.FormatUint(uint64(unix.Minor(number)), 10)
}

// Parse is the inverse of [Text].
func Parse(text string) (number uint64, err error) {
	major, minor, ok := strings.Cut(text, ":")
	a, err := strconv.ParseUint(major, 10, 32)
	b, err2 := strconv.ParseUint(minor, 10, 32)
	if !ok || err != nil || err2 != nil {
		return 0, fmt.Errorf("%q is not a device number", text)
	}
	return unix.Mkdev(uint32(a), uint32(b)), nil
}

// Sysfs is the path of the link to the folder of a block device in sysfs. The
// kernel has it as long as the device exists.
func Sysfs(number uint64) string { return "/sys/dev/block/" + Text(number) }
