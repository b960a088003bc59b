package dm

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// MaxNameBytes is how long a device's name can be, and its UUID.
const MaxNameBytes = unix.DM_NAME_LEN - 1

// nameBytes are those that udev leaves as they are in the name of a node. Other
// tools write the rest in a form of their own, so that a device has two names.
const nameBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789#+-.:=@_"

// CheckName tells whether a new device may have a name; the error is a
// *[NameError]. Devices of other names are there all the same, and can be asked
// about and removed.
func CheckName(name string) error {
	switch {
	case name == "":
		return &NameError{name, "it is empty"}
	case len(name) > MaxNameBytes:
		return &NameError{name, fmt.Sprintf("it has %d bytes, and %d is the most", len(name), MaxNameBytes)}
	case name == "." || name == ".." || name == unix.DM_CONTROL_NODE:
		return &NameError{name, "it means something else in /dev/" + unix.DM_DIR}
	}
	if bad := strings.Trim(name, nameBytes); bad != "" {
		return &NameError{name, fmt.Sprintf("it holds %.20q: letters, digits and #+-.:=@_ are allowed", bad)}
	}
	return nil
}

func checkUUID(uuid string) error {
	if uuid == "" {
		return nil
	}
	return CheckName(uuid)
}
