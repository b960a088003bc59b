package record

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// InitSuffix ends the hash of a container's init device. Drivers put that device between
// the container's device and the image's topmost layer.
const InitSuffix = "-init"

// maxHashBytes leaves room for InitSuffix in a file's name.
const maxHashBytes = 255 - len(InitSuffix)

// NameError says why no device can have a hash.
type NameError struct {
	Hash string
	Why  string
}

func (e *NameError) Error() string { return fmt.Sprintf("device name %.80q %s", e.Hash, e.Why) }

// CheckHash returns a *[NameError] if no device can have the hash: its record would not be
// a valid file, or not be read as a record. The hash "" is valid: it is the base device's.
func CheckHash(hash string) error {
	why := ""
	switch {
	case strings.ContainsAny(hash, "/\x00"):
		why = "contains a slash or a NUL"
	case strings.HasPrefix(hash, "."):
		why = "begins with a dot"
	case len(hash) > maxHashBytes:
		why = fmt.Sprintf("is longer than %d bytes", maxHashBytes)
	case !utf8.ValidString(hash):
		why = "is not UTF-8, as the record of a transaction must be"
	case hash == baseFile || !isDevice(hash):
		why = "is the name of another file among the records"
	default:
		return nil
	}
	return &NameError{hash, why}
}
