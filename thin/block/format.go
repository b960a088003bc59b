package block

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// FormatError says that a file is a disk image, but not a raw one.
type FormatError struct {
	Path   string
	Format string // "qcow2", "VMDK", …
	Attach string // the shell command that makes it a raw device or file
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("%s: a file in %s format, not a raw image: make it one with `%s`", e.Path, e.Format, e.Attach)
}

// OpenRaw opens a file or block device as [Open] does. It is a *[FormatError] if that is a disk image
// that is not raw.
func OpenRaw(ctx context.Context, path string, opts Options) (*File, error) {
	f, err := Open(path, opts)
	if err != nil {
		return nil, err
	}
	if err := CheckRaw(ctx, path, f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// CheckRaw returns a [*FormatError] if r is a disk image that is not raw, or is compressed.
// path is the name of r in the error. It reads the first 4 KiB and the last 512 bytes.
func CheckRaw(ctx context.Context, path string, r Reader) error {
	head, err := readUpTo(ctx, r, 0, 4096)
	if err != nil {
		return err
	}
	tail, err := readUpTo(ctx, r, max(0, r.Size()-vhdFooterBytes), vhdFooterBytes)
	if err != nil {
		return err
	}
	for _, f := range formats {
		if f.is(head, tail) {
			return &FormatError{Path: path, Format: f.name, Attach: fmt.Sprintf(f.attach, ShellQuote(path))}
		}
	}
	return nil
}

func readUpTo(ctx context.Context, r Reader, off int64, n int) ([]byte, error) {
	buf := make([]byte, n)
	n, err := r.ReadAt(ctx, buf, off)
	if err == io.EOF {
		err = nil
	}
	return buf[:n], err
}

// format is a format of disk images: how to recognise it by the first and the last bytes of a
// file, and the command that attaches or converts such a file.
type format struct {
	name   string
	attach string
	is     func(head, tail []byte) bool
}

const (
	nbd = "qemu-nbd -r -c /dev/nbd0 %s"
	ewf = "ewfmount %s DIR"
)

var formats = []format{
	{"qcow", nbd, magics("QFI\xfb\x00\x00\x00\x01")},
	{"qcow2", nbd, magics("QFI\xfb")},
	{"VMDK", nbd, magics("KDMV", "COWD", "# Disk DescriptorFile")},
	{"VHDX", nbd, magics("vhdxfile")},
	{"VHD", "qemu-nbd -r -f vpc -c /dev/nbd0 %s", isVHD},
	{"VDI", nbd, isVDI},
	{"EWF (E01)", ewf, magics("EVF\x09\x0d\x0a\xff\x00")},
	{"EWF (Ex01)", ewf, magics("EVF2\x0d\x0a\x81\x00")},
	{"AFF", "affuse %s DIR", magics("AFF10\x0d\x0a")},
	{"zstd", "zstd -dc <%s >RAW", magics("\x28\xb5\x2f\xfd")},
	{"gzip", "gzip -dc <%s >RAW", isGzip},
	{"xz", "xz -dc <%s >RAW", magics("\xfd7zXZ\x00")},
}

func magics(at0 ...string) func(head, tail []byte) bool {
	return func(head, _ []byte) bool {
		for _, m := range at0 {
			if bytes.HasPrefix(head, []byte(m)) {
				return true
			}
		}
		return false
	}
}

const vhdFooterBytes = 512

// isVHD reports whether the first or last bytes of a file are the hard disk footer of a VHD, with
// the right checksum. The footer ends every VHD. A VHD that is not fixed also begins with a copy.
func isVHD(head, tail []byte) bool {
	const checksum = 64
	for _, b := range [][]byte{head, tail} {
		if len(b) < vhdFooterBytes || !bytes.HasPrefix(b, []byte("conectix")) {
			continue
		}
		var sum uint32
		for i, c := range b[:vhdFooterBytes] {
			if i < checksum || i >= checksum+4 {
				sum += uint32(c)
			}
		}
		if binary.BigEndian.Uint32(b[checksum:]) == ^sum {
			return true
		}
	}
	return false
}

func isVDI(head, _ []byte) bool {
	return len(head) >= 68 && binary.LittleEndian.Uint32(head[64:]) == 0xbeda107f
}

// isGzip requires the deflate method, and no reserved flag.
func isGzip(head, _ []byte) bool {
	return len(head) >= 4 && bytes.HasPrefix(head, []byte("\x1f\x8b\x08")) && head[3]&0xe0 == 0
}

// ShellQuote is a text as a shell takes it for one word.
func ShellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%,=", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
