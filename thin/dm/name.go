package dm

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// MaxNameBytes is the greatest length of a device's name, and of its UUID.
const MaxNameBytes = unix.DM_NAME_LEN - 1

// nameBytes are the characters that udev keeps in the name of a node. It escapes others, so
// that a device would have two names.
const nameBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789#+-.:=@_"

// CheckName returns a *[NameError] if a new device may not have the name. Devices that
// other programs made may have such names; they can be queried and removed.
func CheckName(name string) error {
	switch {
	case name == "":
		return &NameError{name, "it is empty"}
	case len(name) > MaxNameBytes:
		return &NameError{name, fmt.Sprintf("it has %d bytes, more than %d", len(name), MaxNameBytes)}
	case name == "." || name == ".." || name == unix.DM_CONTROL_NODE:
		return &NameError{name, "it means something else in /dev/" + unix.DM_DIR}
	}
	if bad := strings.Trim(name, nameBytes); bad != "" {
		return &NameError{name, fmt.Sprintf("it contains %.20q: letters, digits and #+-.:=@_ are allowed", bad)}
	}
	return nil
}

func checkUUID(uuid string) error {
	if uuid == "" {
		return nil
	}
	return CheckName(uuid)
}
