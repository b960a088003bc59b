package ext4

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// errNoACL says that an access control list has no entries. The kernel does not show it.
var errNoACL = errors.New("no entries")

// convertACL turns an access control list as ext4 stores it (ext4_acl_header
// and entries, version 1) into the form of getxattr(2)
// (posix_acl_xattr_header, version 2), in which each entry has an id.
func convertACL(p []byte) ([]byte, error) {
	const (
		diskVersion  = 1
		xattrVersion = 2

		tagUserObj  = 0x01
		tagUser     = 0x02
		tagGroupObj = 0x04
		tagGroup    = 0x08
		tagMask     = 0x10
		tagOther    = 0x20

		undefinedID = 1<<32 - 1
	)
	le := binary.LittleEndian
	if len(p) < 4 {
		return nil, fmt.Errorf("%d bytes", len(p))
	}
	if v := le.Uint32(p); v != diskVersion {
		return nil, fmt.Errorf("version %d", v)
	}
	out := le.AppendUint32(nil, xattrVersion)
	for p = p[4:]; len(p) > 0; {
		if len(p) < 4 {
			return nil, fmt.Errorf("%d bytes after the last entry", len(p))
		}
		tag, perm, id := le.Uint16(p), le.Uint16(p[2:]), uint32(undefinedID)
		switch tag {
		case tagUserObj, tagGroupObj, tagMask, tagOther:
			p = p[4:]
		case tagUser, tagGroup:
			if len(p) < 8 {
				return nil, fmt.Errorf("%d bytes after the last entry", len(p))
			}
			id = le.Uint32(p[4:])
			p = p[8:]
		default:
			return nil, fmt.Errorf("an entry with tag %#x", tag)
		}
		out = le.AppendUint32(le.AppendUint16(le.AppendUint16(out, tag), perm), id)
	}
	if len(out) == 4 {
		return nil, errNoACL
	}
	return out, nil
}
