package block

import "fmt"

// Run is a range of a [Location] that lies in one range of a file or block device, or takes turns
// between one range in each of several.
type Run struct {
	Length      int64 // in bytes
	StripeBytes int64 // the length of a stripe, 0 if there is one range only
	Stripes     []Spot
}

// Spot is a byte of a file or block device.
type Spot struct {
	Path   string
	Offset int64 // in bytes
}

// Each calls do for the runs of the location in order, until that returns an error. It is an error
// if a stripe lies in several ranges.
func (l Location) Each(do func(Run) error) error {
	length := int64(0)
	if l.pieces != nil {
		length = l.pieces.length
	}
	return l.eachIn(0, length, do)
}

// eachIn is Each for a range. A file or device is taken as a whole if the length is 0.
func (l Location) eachIn(offset, length int64, do func(Run) error) error {
	if l.pieces == nil {
		return do(Run{Length: length, Stripes: []Spot{{l.path, offset}}})
	}
	if l.pieces.stripe > 0 {
		return l.pieces.eachStriped(offset, length, do)
	}
	for _, p := range l.pieces.list {
		if offset >= p.Length {
			offset -= p.Length
			continue
		}
		n := min(length, p.Length-offset)
		if n == 0 {
			break
		}
		if err := p.In.eachIn(p.Offset+offset, n, do); err != nil {
			return err
		}
		offset, length = 0, length-n
	}
	return nil
}

// eachStriped is one run for stripes. The range must be all of them.
func (p *pieces) eachStriped(offset, length int64, do func(Run) error) error {
	if offset != 0 || length != p.length {
		return fmt.Errorf("a part of stripes: %d bytes from byte %d on", length, offset)
	}
	r := Run{Length: p.length, StripeBytes: p.stripe}
	for _, piece := range p.list {
		n := 0
		err := piece.In.eachIn(piece.Offset, piece.Length, func(in Run) error {
			if n++; n > 1 || len(in.Stripes) > 1 {
				return fmt.Errorf("a stripe that lies in several ranges")
			}
			r.Stripes = append(r.Stripes, in.Stripes[0])
			return nil
		})
		if err != nil {
			return err
		}
	}
	return do(r)
}
