package lvm

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"thintree/meta/lvm/text"
	"thintree/thin/block"
)

// Generation is a text in a metadata area: the current one, or one of before that was not overwritten
// yet.
type Generation struct {
	Group, ID    string // the name and the id of the group
	SeqNo        uint32
	CreationTime time.Time
	Description  string // the command that made it
	// Offset is where the text begins on the device, in bytes.
	Offset int64
	// Current says that it is the text that the area's header points at.
	Current bool
}

// maxSearched bounds how much of an area is searched, in bytes, and maxParsed how much of it is parsed
// in all: texts that are partly overwritten may lie in each other.
const (
	maxSearched = 64 << 20
	maxParsed   = 8 * maxSearched
)

// Generations lists the texts in all metadata areas of a device, the newest first. Texts of before
// have no checksum any more: those are listed that are whole by their form. An area that cannot be read
// is a warning. The error is that of ctx, or says that the device has no physical volume.
func Generations(ctx context.Context, d Device) (list []Generation, warnings []error, err error) {
	found, warnings, err := d.scan(ctx)
	if err != nil {
		return nil, nil, err
	}
	if len(found) == 0 && len(warnings) == 0 {
		return nil, nil, fmt.Errorf("%s: %w", d.Path, &NoGroupError{})
	}
	for _, p := range found {
		for _, a := range p.areas {
			err := a.err
			if err == nil {
				var some []Generation
				some, err = a.header.generations(ctx, p.r)
				for _, g := range some {
					g.Offset += p.offset
					list = append(list, g)
				}
			}
			if err := ctx.Err(); err != nil {
				return nil, nil, err
			}
			if err != nil {
				warnings = append(warnings, fmt.Errorf("%s: metadata area at byte %d: %w", p.Path, a.at.Offset, err))
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Generation) int {
		return cmp.Or(cmp.Compare(b.SeqNo, a.SeqNo), cmp.Compare(a.Offset, b.Offset))
	})
	return list, warnings, nil
}

// generations searches an area. A text begins at a sector, with the name of its group, and ends with a
// NUL.
func (h *mdaHeader) generations(ctx context.Context, r block.Reader) (list []Generation, err error) {
	size := h.Size - mdaHeaderSize
	if size > maxSearched {
		return nil, fmt.Errorf("an area of %d bytes is not searched, only up to %d", h.Size, maxSearched)
	}
	// It is read twice in a row, so that what goes on at the beginning is in one piece.
	area := make([]byte, size, 2*size)
	if err := h.readCircular(ctx, r, area, mdaHeaderSize); err != nil {
		return nil, err
	}
	area = append(area, area...)
	left := maxParsed
	for at := 0; at < int(size); at += labelSize {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		rest := area[at:][:min(size, text.MaxBytes)]
		if !mayBegin(rest) {
			continue
		}
		end := bytes.IndexByte(rest, 0)
		if end < 0 {
			continue
		}
		if left -= end; left < 0 {
			return list, fmt.Errorf("it has too many beginnings of texts: it was searched up to byte %d only", at)
		}
		g, err := ParseGroup(rest[:end])
		if err != nil {
			continue // partly overwritten
		}
		list = append(list, Generation{
			Group: g.Name, ID: g.ID, SeqNo: g.SeqNo, CreationTime: g.CreationTime, Description: g.Description,
			Offset: int64(h.Start) + mdaHeaderSize + int64(at), Current: h.hasText() && uint64(at)+mdaHeaderSize == h.Current.Offset,
		})
	}
	return list, nil
}

// mayBegin reports whether a text may begin here: with a name, and the section of a group.
func mayBegin(p []byte) bool {
	const maxName = 128
	line, _, ok := bytes.Cut(p[:min(len(p), maxName+3)], []byte("\n"))
	name, brace, ok2 := bytes.Cut(line, []byte(" "))
	return ok && ok2 && string(brace) == "{" && len(name) > 0
}
