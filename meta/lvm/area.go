package lvm

import (
	"context"
	"fmt"
	"math"

	"thintree/meta/lvm/text"
	"thintree/thin/block"
)

const (
	fmttMagic     = " LVM2 x[5A%r0N*>" // FMTT_MAGIC
	fmttVersion   = 1                  // FMTT_VERSION
	mdaHeaderSize = 512                // MDA_HEADER_SIZE

	rawLocnBytes   = 24
	rawLocnIgnored = 1 // RAW_LOCN_IGNORED
)

// The offsets in an mda_header.
const (
	mdaMagic    = 4
	mdaVersion  = 20
	mdaStart    = 24
	mdaSize     = 32
	mdaRawLocns = 40
)

// mdaHeader is the header of a metadata area (mda_header). The area is circular: from its end, a
// text goes on behind the header.
type mdaHeader struct {
	Start, Size uint64  // of the area, in bytes of the disk
	Current     rawLocn // the committed text: the first of raw_locns
}

// rawLocn is where a text lies in a metadata area (raw_locn).
type rawLocn struct {
	Offset, Size    uint64 // in bytes; the offset is that in the area
	Checksum, Flags uint32
}

// hasText reports whether the area has a text that counts. An ignored area has an old one.
func (h *mdaHeader) hasText() bool {
	return h.Current.Offset != 0 && h.Current.Flags&rawLocnIgnored == 0
}

// parseMDAHeader parses the header of the area at a place. The sector has mdaHeaderSize bytes.
func parseMDAHeader(sector []byte, at diskLocn) (*mdaHeader, error) {
	if want, got := le.Uint32(sector), calcCRC(sector[mdaMagic:]); got != want {
		return nil, fmt.Errorf("the header has the checksum %#08x instead of %#08x", got, want)
	}
	if magic := sector[mdaMagic:][:len(fmttMagic)]; string(magic) != fmttMagic {
		return nil, fmt.Errorf("the header begins with %q instead of %q", magic, fmttMagic)
	}
	if v := le.Uint32(sector[mdaVersion:]); v != fmttVersion {
		return nil, fmt.Errorf("the header has version %d, not %d: it needs a newer thintree", v, fmttVersion)
	}
	h := &mdaHeader{Start: le.Uint64(sector[mdaStart:]), Size: le.Uint64(sector[mdaSize:])}
	if h.Start != at.Offset {
		return nil, fmt.Errorf("the header is of byte %d", h.Start)
	}
	if h.Size <= mdaHeaderSize || h.Size > math.MaxInt64-h.Start {
		return nil, fmt.Errorf("the area has %d bytes by its header", h.Size)
	}
	l := sector[mdaRawLocns:]
	h.Current = rawLocn{le.Uint64(l), le.Uint64(l[8:]), le.Uint32(l[16:]), le.Uint32(l[20:])}
	return h, nil
}

// readText reads the text of an area, and compares its checksum.
func (h *mdaHeader) readText(ctx context.Context, r block.Reader) ([]byte, error) {
	l := h.Current
	if l.Offset < mdaHeaderSize || l.Offset >= h.Size || l.Size > h.Size-mdaHeaderSize || l.Size > text.MaxBytes {
		return nil, fmt.Errorf("a text of %d bytes from byte %d on, in an area of %d bytes: texts of up to %d bytes can be read", l.Size, l.Offset, h.Size, text.MaxBytes)
	}
	p := make([]byte, l.Size)
	if err := h.readCircular(ctx, r, p, l.Offset); err != nil {
		return nil, err
	}
	if got := calcCRC(p); got != l.Checksum {
		return nil, fmt.Errorf("the text at byte %d of the area has the checksum %#08x instead of %#08x", l.Offset, got, l.Checksum)
	}
	return p, nil
}

// readCircular reads a part of the area that is no longer than the area without its header.
func (h *mdaHeader) readCircular(ctx context.Context, r block.Reader, p []byte, offset uint64) error {
	first := min(uint64(len(p)), h.Size-offset)
	if err := readFull(ctx, r, p[:first], int64(h.Start+offset)); err != nil {
		return err
	}
	return readFull(ctx, r, p[first:], int64(h.Start+mdaHeaderSize))
}
