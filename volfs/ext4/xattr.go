package ext4

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"syscall"

	"thintree/volfs"
)

const (
	xattrMagic      = 0xea020000
	xattrHeaderSize = 32 // of struct ext4_xattr_header, in a block
	xattrEntrySize  = 16 // of struct ext4_xattr_entry, before the name
	xattrMaxValue   = 64 << 10

	xattrACLAccess  = 2
	xattrACLDefault = 3
	xattrSystem     = 7
)

// xattrPrefixes are the prefixes of names by e_name_index. The kernel shows no attribute
// with another index: it keeps inline data and encryption contexts in these.
var xattrPrefixes = [...]string{
	1:               "user.",
	xattrACLAccess:  "system.posix_acl_access",
	xattrACLDefault: "system.posix_acl_default",
	4:               "trusted.",
	6:               "security.",
	10:              "gnu.",
}

// xattrEntry is a struct ext4_xattr_entry.
type xattrEntry struct {
	index       uint8
	name        []byte
	valueOffset int // in bytes, within the area that the entry lies in
	valueInode  uint32
	valueSize   uint32
	hash        uint32
}

// fullName returns the entry's name with its prefix. It is false if the entry is not
// shown.
func (e xattrEntry) fullName() (string, bool) {
	if int(e.index) >= len(xattrPrefixes) || xattrPrefixes[e.index] == "" {
		return "", false
	}
	return xattrPrefixes[e.index] + string(e.name), true
}

// entriesOf yields the entries at the start of p. It ends after an error.
func entriesOf(p []byte, what fmt.Stringer) iter.Seq2[xattrEntry, error] {
	return func(yield func(xattrEntry, error) bool) {
		for off := 0; ; {
			rest := p[min(off, len(p)):]
			if len(rest) < 4 || le32(rest, 0) == 0 {
				// The end: four zero bytes, which a full area lacks room for.
				return
			}
			nameLen := int(rest[0])
			size := (xattrEntrySize + nameLen + 3) &^ 3
			if size > len(rest)-4 {
				yield(xattrEntry{}, damage(what.String(), "extended attributes: the entry at byte %d does not end", off))
				return
			}
			e := xattrEntry{
				index:       rest[1],
				name:        rest[xattrEntrySize : xattrEntrySize+nameLen],
				valueOffset: int(binary.LittleEndian.Uint16(rest[2:])),
				valueInode:  le32(rest, 1),
				valueSize:   le32(rest, 2),
				hash:        le32(rest, 3),
			}
			if bytes.IndexByte(e.name, 0) >= 0 {
				yield(xattrEntry{}, damage(what.String(), "extended attribute name %q", e.name))
				return
			}
			if !yield(e, nil) {
				return
			}
			off += size
		}
	}
}

// value returns the value of an entry. It must lie in area.
func (e xattrEntry) value(area []byte, what fmt.Stringer) ([]byte, error) {
	if e.valueSize == 0 {
		return nil, nil
	}
	if e.valueOffset > len(area) || uint64(e.valueSize) > uint64(len(area)-e.valueOffset) {
		return nil, damage(what.String(), "extended attribute %q: %d bytes at %d of %d", e.name, e.valueSize, e.valueOffset, len(area))
	}
	return area[e.valueOffset : e.valueOffset+int(e.valueSize)], nil
}

// xattrArea is one of the two places in which an inode can have attributes.
type xattrArea struct {
	entries []byte
	values  []byte // offsets of values count from its start
	what    fmt.Stringer
}

// xattrAreas returns the areas in which the attributes of in are: in the inode, in a
// block.
func (fs *FS) xattrAreas(ctx context.Context, in *inode) ([]xattrArea, error) {
	var areas []xattrArea
	if len(in.ibody) > 0 {
		areas = append(areas, xattrArea{in.ibody, in.ibody, in})
	}
	if in.fileACL == 0 {
		return areas, nil
	}
	key := blockKey{block: in.fileACL, kind: blockXattr}
	p, err := fs.block(ctx, key, func(p []byte) error { return fs.checkXattrBlock(p, key) })
	if err != nil {
		return nil, err
	}
	return append(areas, xattrArea{p[xattrHeaderSize:], p, key}), nil
}

func (fs *FS) checkXattrBlock(p []byte, key blockKey) error {
	const hChecksum = 0x10
	if magic := le32(p, 0); magic != xattrMagic {
		return key.damage("magic number %#x instead of %#x", magic, xattrMagic)
	}
	if n := le32(p, 2); n != 1 {
		return key.damage("h_blocks %d", n)
	}
	if !fs.sb.metadataCsum() {
		return nil
	}
	got := crc32cSkipping(crc32cUint64(fs.sb.csumSeed, key.block), p, hChecksum, 4)
	if want := le32(p, hChecksum/4); want != got {
		return key.damage("checksum %#x instead of %#x", want, got)
	}
	return nil
}

// Xattrs lists names in the order in which they are on the disk.
func (fs *FS) Xattrs(ctx context.Context, ino volfs.Ino) ([]string, error) {
	in, err := fs.inode(ctx, ino)
	if err != nil {
		return nil, err
	}
	areas, err := fs.xattrAreas(ctx, in)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, a := range areas {
		for e, err := range entriesOf(a.entries, a.what) {
			if err != nil {
				return nil, err
			}
			if name, ok := e.fullName(); ok {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// Xattr returns a value: E2BIG for one of more than 64 KiB, as from the kernel.
func (fs *FS) Xattr(ctx context.Context, ino volfs.Ino, name string) ([]byte, error) {
	in, err := fs.inode(ctx, ino)
	if err != nil {
		return nil, err
	}
	areas, err := fs.xattrAreas(ctx, in)
	if err != nil {
		return nil, err
	}
	for _, a := range areas {
		for e, err := range entriesOf(a.entries, a.what) {
			if err != nil {
				return nil, err
			}
			if full, ok := e.fullName(); ok && full == name {
				return fs.xattrValue(ctx, in, e, a)
			}
		}
	}
	return nil, in.noXattr(name)
}

func (in *inode) noXattr(name string) error {
	return fmt.Errorf("ext4: extended attribute %q of %s: %w", name, in, syscall.ENODATA)
}

// xattrValue returns the value of e in the form that getxattr(2) returns it in.
func (fs *FS) xattrValue(ctx context.Context, in *inode, e xattrEntry, a xattrArea) ([]byte, error) {
	var value []byte
	var err error
	switch {
	case e.valueSize > xattrMaxValue:
		return nil, fmt.Errorf("ext4: extended attribute %q of %s: %d bytes: %w", e.name, in, e.valueSize, syscall.E2BIG)
	case e.valueInode != 0:
		value, err = fs.eaInodeValue(ctx, in, e)
	default:
		value, err = e.value(a.values, a.what)
	}
	if err != nil {
		return nil, err
	}
	if e.index != xattrACLAccess && e.index != xattrACLDefault {
		return bytes.Clone(value), nil
	}
	acl, err := convertACL(value)
	switch {
	case errors.Is(err, errNoACL):
		return nil, in.noXattr(xattrPrefixes[e.index])
	case err != nil:
		return nil, damage(a.what.String(), "access control list: %v", err)
	}
	return acl, nil
}
