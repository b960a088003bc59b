package ext4

import (
	"bytes"
	"slices"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/unicode/rangetable"
)

// caseFold compares names in folders that ignore case. It does what the kernel's
// fs/unicode does by Unicode 12.1: full case folding and canonical decomposition,
// without ignorable code points.
type caseFold struct {
	known *unicode.RangeTable // the code points of Unicode 12.1
	caser cases.Caser
}

func newCaseFold() *caseFold {
	return &caseFold{
		known: rangetable.Merge(rangetable.Assigned("12.0.0"), rangetable.New('\u32ff')),
		caser: cases.Fold(),
	}
}

// ignorable are the code points with the property Default_Ignorable_Code_Point
// in Unicode 12.1.
var ignorable = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x00ad, Hi: 0x00ad, Stride: 1}, {Lo: 0x034f, Hi: 0x034f, Stride: 1}, {Lo: 0x061c, Hi: 0x061c, Stride: 1},
		{Lo: 0x115f, Hi: 0x1160, Stride: 1}, {Lo: 0x17b4, Hi: 0x17b5, Stride: 1}, {Lo: 0x180b, Hi: 0x180e, Stride: 1},
		{Lo: 0x200b, Hi: 0x200f, Stride: 1}, {Lo: 0x202a, Hi: 0x202e, Stride: 1}, {Lo: 0x2060, Hi: 0x206f, Stride: 1},
		{Lo: 0x3164, Hi: 0x3164, Stride: 1}, {Lo: 0xfe00, Hi: 0xfe0f, Stride: 1}, {Lo: 0xfeff, Hi: 0xfeff, Stride: 1},
		{Lo: 0xffa0, Hi: 0xffa0, Stride: 1}, {Lo: 0xfff0, Hi: 0xfff8, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1bca0, Hi: 0x1bca3, Stride: 1}, {Lo: 0x1d173, Hi: 0x1d17a, Stride: 1}, {Lo: 0xe0000, Hi: 0xe0fff, Stride: 1},
	},
	LatinOffset: 1,
}

// folded returns the folded form of a name: names are equal if that is the same. It is
// false for a name that is not UTF-8, which is equal only to itself.
func (c *caseFold) folded(name []byte) ([]byte, bool) {
	if isASCII(name) {
		return bytes.ToLower(name), true
	}
	if !utf8.Valid(name) {
		return nil, false
	}
	var out []rune
	for _, r := range string(name) {
		if !unicode.Is(ignorable, r) {
			out = c.appendFolded(out, r)
		}
	}
	c.order(out)
	return []byte(string(out)), true
}

// appendFolded appends the case folding of a code point, decomposed. If it has none, it
// appends the folding of each part of its decomposition. A code point that Unicode 12.1
// does not have stays as it is.
func (c *caseFold) appendFolded(out []rune, r rune) []rune {
	if !unicode.Is(c.known, r) {
		return append(out, r)
	}
	s := string(r)
	// Unicode folds Cherokee to upper case. Package cases does not.
	if cherokee := r >= 0x13a0 && r <= 0x13f5; !cherokee {
		if folded := c.caser.String(s); folded != s {
			return append(out, []rune(norm.NFD.String(folded))...)
		}
	}
	decomposed := norm.NFD.String(s)
	if decomposed == s {
		return append(out, r)
	}
	for _, part := range decomposed {
		out = c.appendFolded(out, part)
	}
	return out
}

// order puts combining marks into their canonical order (Unicode, section 3.11).
func (c *caseFold) order(name []rune) {
	for start := 0; start < len(name); start++ {
		end := start
		for end < len(name) && c.class(name[end]) != 0 {
			end++
		}
		slices.SortStableFunc(name[start:end], func(a, b rune) int { return int(c.class(a)) - int(c.class(b)) })
		start = end
	}
}

// class returns the canonical combining class of a code point.
func (c *caseFold) class(r rune) uint8 {
	if r < 0x300 || !unicode.Is(c.known, r) {
		return 0
	}
	return norm.NFD.PropertiesString(string(r)).CCC()
}

func isASCII(p []byte) bool {
	for _, b := range p {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// query looks for a name in a folder that ignores case.
func (c *caseFold) query(name []byte) *query {
	folded, ok := c.folded(name)
	if !ok {
		return plainQuery(name)
	}
	return &query{
		matches: func(e dirEntry) bool {
			if bytes.Equal(e.name, name) {
				return true
			}
			other, ok := c.folded(e.name)
			return ok && bytes.Equal(folded, other)
		},
		hash:   hashOf(folded),
		folded: true,
	}
}
