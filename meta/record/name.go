package record

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// InitSuffix is what drivers add to the hash of a container's device for that of
// the device between it and its image's layer.
const InitSuffix = "-init"

// maxHashBytes leaves room for an ending like InitSuffix in the name of a file.
const maxHashBytes = 255 - len(InitSuffix)

// NameError says why a hash cannot be a device's.
type NameError struct {
	Hash string
	Why  string
}

func (e *NameError) Error() string { return fmt.Sprintf("device name %.80q %s", e.Hash, e.Why) }

// CheckHash says, by a [NameError], why a hash cannot be that of a device: its
// record could not lie in a folder, or would not be taken for one. "" is the base
// device's, and can.
func CheckHash(hash string) error {
	why := ""
	switch {
	case strings.ContainsAny(hash, "/\x00"):
		why = "has a slash or a NUL in it"
	case strings.HasPrefix(hash, "."):
		why = "begins with a dot"
	case len(hash) > maxHashBytes:
		why = fmt.Sprintf("is longer than %d bytes", maxHashBytes)
	case !utf8.ValidString(hash):
		why = "is not UTF-8, as the record of a transaction is"
	case hash == baseFile || !isDevice(hash):
		why = "is that of another file among the records"
	default:
		return nil
	}
	return &NameError{hash, why}
}
