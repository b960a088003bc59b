package block

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Location says where bytes lie: in a file or block device, or in pieces of other Locations.
// The pieces follow each other (linear) or take turns (striped). The zero Location is nowhere.
// A Location does not change once it is made.
type Location struct {
	path   string
	pieces *pieces // nil if the bytes lie at path
}

// Piece is a part of a Location. Offset and length are in bytes.
type Piece struct {
	In     Location
	Offset int64
	Length int64
}

// pieces are the pieces of a Location.
type pieces struct {
	list   []Piece
	stripe int64 // the length of a stripe in bytes, 0 if the pieces follow each other
	length int64 // of all pieces together, in bytes
	leaves int   // how many pieces of files and devices they consist of in the end
	depth  int   // how many levels of pieces there are
}

// If pieces are shared, each level multiplies their number. So maxLeaves bounds what they
// consist of in the end: that much is walked.
const (
	maxLeaves = 1 << 16
	maxDepth  = 8
)

// At is the Location of a file or block device.
func At(path string) Location { return Location{path: path} }

// Linear is the Location of pieces that follow each other, as LVM has them.
func Linear(list ...Piece) (Location, error) { return inPieces(0, list) }

// Striped is the Location of pieces that take turns: one stripe of the first piece, one of the
// second, and so on, then again from the first. stripeBytes is the length of a stripe. All
// pieces have the same length, a multiple of it.
func Striped(stripeBytes int64, list ...Piece) (Location, error) {
	if stripeBytes <= 0 {
		return Location{}, fmt.Errorf("stripes of %d bytes: the length must be positive", stripeBytes)
	}
	return inPieces(stripeBytes, list)
}

func inPieces(stripe int64, list []Piece) (Location, error) {
	if len(list) == 0 {
		return Location{}, errors.New("no pieces: at least one must be given")
	}
	p := &pieces{stripe: stripe}
	for i, piece := range list {
		switch {
		case piece.In == Location{}:
			return Location{}, fmt.Errorf("piece %d lies nowhere", i)
		case piece.Offset < 0 || piece.Length <= 0 || piece.Offset > math.MaxInt64-piece.Length || piece.Length > math.MaxInt64-p.length:
			return Location{}, fmt.Errorf("piece %d: %d bytes from byte %d on: no such range", i, piece.Length, piece.Offset)
		case stripe > 0 && (piece.Length%stripe != 0 || piece.Length != list[0].Length):
			return Location{}, fmt.Errorf("piece %d has %d bytes: all must have as many whole stripes of %d bytes as the first", i, piece.Length, stripe)
		}
		p.length += piece.Length
		if in := piece.In.pieces; in != nil {
			p.leaves += in.leaves
			p.depth = max(p.depth, in.depth)
		} else {
			p.leaves++
		}
		if p.leaves > maxLeaves {
			return Location{}, fmt.Errorf("more than %d pieces, counting those of pieces", maxLeaves)
		}
	}
	if p.depth++; p.depth > maxDepth {
		return Location{}, fmt.Errorf("pieces of pieces: more than %d levels", maxDepth)
	}
	p.list = append(p.list, list...)
	return Location{pieces: p}, nil
}

// IsNowhere reports whether it is the zero Location.
func (l Location) IsNowhere() bool { return l == Location{} }

// Path is the path of the file or block device. ok is false if the bytes lie in pieces or
// nowhere.
func (l Location) Path() (path string, ok bool) { return l.path, l.path != "" }

// Spot is where a byte lies. Its path is "" if the byte is beyond the end, or the Location is
// nowhere.
func (l Location) Spot(offset int64) Spot {
	for l.pieces != nil {
		piece, in := l.pieces.at(offset)
		if piece == nil {
			return Spot{}
		}
		l, offset = piece.In, piece.Offset+in
	}
	return Spot{l.path, offset}
}

// at is the piece that a byte lies in, and its offset from the piece's beginning.
func (p *pieces) at(offset int64) (piece *Piece, in int64) {
	if offset < 0 || offset >= p.length {
		return nil, 0
	}
	if n := int64(len(p.list)); p.stripe > 0 {
		row := offset / p.stripe
		return &p.list[row%n], row/n*p.stripe + offset%p.stripe
	}
	for i := range p.list {
		if offset < p.list[i].Length {
			return &p.list[i], offset
		}
		offset -= p.list[i].Length
	}
	return nil, 0
}

// Paths are the paths of all files and block devices that the bytes lie in, each once, in order
// of first use.
func (l Location) Paths() []string {
	var list []string
	seen := make(map[string]bool)
	l.each(func(path string) {
		if !seen[path] {
			seen[path] = true
			list = append(list, path)
		}
	})
	return list
}

func (l Location) each(do func(path string)) {
	if l.path != "" {
		do(l.path)
	}
	if l.pieces != nil {
		for _, p := range l.pieces.list {
			p.In.each(do)
		}
	}
}

// moved is the Location with each path that is in to replaced by its value there.
func (l Location) moved(to map[string]string) Location {
	if l.pieces == nil {
		if now, ok := to[l.path]; ok {
			return At(now)
		}
		return l
	}
	now := *l.pieces
	now.list = make([]Piece, len(l.pieces.list))
	for i, p := range l.pieces.list {
		p.In = p.In.moved(to)
		now.list[i] = p
	}
	return Location{pieces: &now}
}

// Key is equal for two Locations if and only if they are the same.
func (l Location) Key() string {
	if l.pieces == nil {
		return "@" + l.path // a path can be anything
	}
	return l.String()
}

// Equal reports whether two Locations are the same.
func (l Location) Equal(other Location) bool { return l.Key() == other.Key() }

// String is the Location in a form for people: a path, or for example
// linear(/dev/sda1@1048576+4194304, /dev/sdb@0+8388608). Each piece has its offset and its
// length, in bytes.
func (l Location) String() string {
	if l.pieces == nil {
		return l.path
	}
	var b strings.Builder
	b.WriteString("linear(")
	if l.pieces.stripe > 0 {
		b.Reset()
		fmt.Fprintf(&b, "striped %d(", l.pieces.stripe)
	}
	for i, p := range l.pieces.list {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s@%d+%d", p.In.quoted(), p.Offset, p.Length)
	}
	b.WriteByte(')')
	return b.String()
}

// quoted is String, with the path quoted if it could be taken for pieces.
func (l Location) quoted() string {
	if text := strconv.Quote(l.path); l.pieces == nil && (strings.ContainsAny(l.path, "(),@+ ") || text != `"`+l.path+`"`) {
		return text
	}
	return l.String()
}
