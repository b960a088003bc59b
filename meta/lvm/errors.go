package lvm

import (
	"fmt"
	"syscall"
)

// LostError says why the bytes of a logical volume cannot be found. It is what a [meta.Volume] of
// this package has as Lost.
type LostError struct {
	Volume string // "vg/lv"
	Err    error
}

func (e *LostError) Error() string { return fmt.Sprintf("%.160s: %v", e.Volume, e.Err) }

func (e *LostError) Unwrap() error { return e.Err }

// MissingError says that a disk of a group is missing. It unwraps to EIO.
type MissingError struct {
	ID     string // of the physical volume
	Device string // the path at which it was seen last, "" if that is not recorded
	// Stale says that a disk with the ID is there, but that it was missing when the group
	// was changed. So what is on it may be old.
	Stale bool
}

func (e *MissingError) Error() string {
	if e.Stale {
		return fmt.Sprintf("the group counts the disk with the id %s as missing: what is on it may be old", e.ID)
	}
	text := "it needs the disk with the id " + e.ID
	if e.Device != "" {
		text += fmt.Sprintf(", last seen as %.160s", e.Device)
	}
	return text
}

// Unwrap makes errors.Is(err, syscall.EIO) true.
func (e *MissingError) Unwrap() error { return syscall.EIO }

// TypeError says that segments of a type are not read here. It unwraps to EMEDIUMTYPE: nothing is
// damaged.
type TypeError struct {
	Type string // "raid5_ls", "cache", …
	Why  string
}

func (e *TypeError) Error() string { return fmt.Sprintf("%.80s: %s", e.Type, e.Why) }

// Unwrap makes errors.Is(err, syscall.EMEDIUMTYPE) true.
func (e *TypeError) Unwrap() error { return syscall.EMEDIUMTYPE }
