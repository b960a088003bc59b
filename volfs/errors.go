package volfs

import (
	"fmt"
	"syscall"
)

// DamageError says that something on the disk is not as its format allows. It unwraps to EIO.
type DamageError struct {
	FS    string // the filesystem's type: "ext4"
	What  string // which structure: "inode 12", "extent block 77"
	Fault string // what is wrong with it: "checksum 0x… instead of 0x…"
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s: %s: %s", e.FS, e.What, e.Fault)
}

// Unwrap makes errors.Is(err, syscall.EIO) true.
func (e *DamageError) Unwrap() error { return syscall.EIO }

// UnsupportedError says that a filesystem uses something that its reader does not read. It unwraps to EOPNOTSUPP.
type UnsupportedError struct {
	FS   string // the filesystem's type: "ext4"
	What string // the name in the format of what cannot be read: "incompatible feature journal_dev"
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%s: %s is not supported", e.FS, e.What)
}

// Unwrap makes errors.Is(err, syscall.EOPNOTSUPP) true.
func (e *UnsupportedError) Unwrap() error { return syscall.EOPNOTSUPP }
