package ext4

import (
	"fmt"
	"strings"
	"testing"
)

// TestHashesAreThoseOfDebugfs compares hashes with those that debugfs(8)'s dx_hash prints.
func TestHashesAreThoseOfDebugfs(t *testing.T) {
	t.Parallel()
	seed := [4]uint32{0x78563412, 0xf0debc9a, 0x78563412, 0xf0debc9a} // 12345678-9abc-def0-1234-56789abcdef0
	long := strings.Repeat("abcdefghijklmnopqrstuvwxyz0123456789", 2)
	for _, c := range []struct {
		version      uint8
		name         string
		major, minor uint32
	}{
		{hashLegacy, "hello world", 0xe0a6a922, 0},
		{hashLegacy, "café", 0x96ca5a2c, 0},
		{hashLegacy, strings.Repeat("x", 40), 0x382d277e, 0},
		{hashLegacy, long, 0x899b1f9e, 0},
		{hashHalfMD4, "hello world", 0x34e70950, 0xa191f3fb},
		{hashHalfMD4, "café", 0x6b272632, 0x97483605},
		{hashHalfMD4, strings.Repeat("x", 40), 0xbbcd5034, 0xb8bd4649},
		{hashHalfMD4, long, 0x546034c2, 0xecd6f0a2},
		{hashTEA, "hello world", 0xfa5455a6, 0xb6636fec},
		{hashTEA, "café", 0x390e3560, 0xdf79b228},
		{hashTEA, strings.Repeat("x", 40), 0xc0aa7d8, 0x8b880052},
		{hashTEA, long, 0x34cd9dfc, 0xdb329b01},
	} {
		h := hasher{version: c.version, seed: seed}
		if major, minor := h.hash([]byte(c.name)); major != c.major || minor != c.minor {
			t.Errorf("version %d, %q: %#x (minor %#x), want %#x (minor %#x)", c.version, c.name, major, minor, c.major, c.minor)
		}
	}
	for version, want := range map[uint8]uint32{hashHalfMD4: 0xd5fa7d7a, hashTEA: 0x6d0ea4c0} {
		if major, _ := (hasher{version: version}).hash([]byte("a")); major != want {
			t.Errorf("version %d without a seed: %#x, want %#x", version, major, want)
		}
	}
}

func TestUnsignedHashesDifferForBytesAboveASCIIOnly(t *testing.T) {
	t.Parallel()
	for _, version := range []uint8{hashLegacy, hashHalfMD4, hashTEA} {
		for name, same := range map[string]bool{"plain": true, "café": false} {
			signed, _ := hasher{version: version}.hash([]byte(name))
			unsigned, _ := hasher{version: version + hashUnsigned}.hash([]byte(name))
			if (signed == unsigned) != same {
				t.Errorf("version %d, %q: signed %#x, unsigned %#x", version, name, signed, unsigned)
			}
		}
	}
}

// TestFoldedNamesHashAsInE2fsprogs compares foldings by their hashes, which
// debugfs(8) computes with its own tables of Unicode 12.1.
func TestFoldedNamesHashAsInE2fsprogs(t *testing.T) {
	t.Parallel()
	words := []string{"Straße.TXT", "ÀÉ", "ﬁx", "İstanbul", "ΑΣΣ", "ᾳ", "Å", "가각", "ǅ", "ẞ", "a\u00adb", "ẛ̣", "plain ASCII",
		"x\u0345\u0300A\u0327\u0301", "ᾀ\u0300", "\u1100\u1161\u11a8", "Ꭰꭰᏸ", "\u32ff", "\U00011938", "\u0378", "\u1ac0\u0301"}
	for r := rune(0x100); r < 0x2fa20; r += 37 {
		if r < 0xd800 || r > 0xdfff {
			words = append(words, fmt.Sprintf("Q%cx\u0300", r))
		}
	}
	var commands []string
	for _, w := range words {
		commands = append(commands, fmt.Sprintf("dx_hash -h half_md4 -c -e utf8 \"%s\"", w))
	}
	image := makeImage(t, "1M", nil, "-t", "ext2")
	got := debugfs(t, image, commands...)
	f := newCaseFold()
	for _, w := range words {
		folded, ok := f.folded([]byte(w))
		if !ok {
			t.Fatalf("%q is not text", w)
		}
		major, minor := hasher{version: hashHalfMD4}.hash(folded)
		if line := fmt.Sprintf("Hash of %s is %#x (minor %#x)\n", w, major, minor); !strings.Contains(got, line) {
			t.Errorf("%q is folded to %q: hash %#x is not what debugfs prints", w, folded, major)
		}
	}
}

func TestNamesThatAreNoTextEqualThemselvesOnly(t *testing.T) {
	t.Parallel()
	f := newCaseFold()
	q := f.query([]byte("A\xff"))
	for name, want := range map[string]bool{"A\xff": true, "a\xff": false} {
		if got := q.matches(dirEntry{name: []byte(name)}); got != want {
			t.Errorf("%q matches: %v", name, got)
		}
	}
	if q := f.query([]byte("GROSS")); !q.matches(dirEntry{name: []byte("groß")}) || q.matches(dirEntry{name: []byte("gro\xff")}) {
		t.Error("GROSS should match groß and nothing else")
	}
}
