package probe

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// label returns the text of a field up to its first zero byte, without white space at the
// end.
func label(field []byte) string {
	if i := bytes.IndexByte(field, 0); i >= 0 {
		field = field[:i]
	}
	return trimRight(string(field))
}

// label16 is label for UTF-16.
func label16(field []byte, order binary.ByteOrder) string {
	var units []uint16
	for ; len(field) >= 2; field = field[2:] {
		u := order.Uint16(field)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return trimRight(text16(decode16(units)))
}

// decode16 is utf16.Decode, but keeps halves of surrogate pairs.
func decode16(units []uint16) []rune {
	runes := make([]rune, 0, len(units))
	for ; len(units) > 0; units = units[1:] {
		r := rune(units[0])
		if len(units) > 1 {
			if pair := utf16.DecodeRune(r, rune(units[1])); pair != utf8.RuneError {
				r, units = pair, units[1:]
			}
		}
		runes = append(runes, r)
	}
	return runes
}

// text16 returns UTF-8. Halves of surrogate pairs become three bytes by the same rule, as
// in blkid, so that different labels stay different.
func text16(runes []rune) string {
	var text []byte
	for _, r := range runes {
		if utf16.IsSurrogate(r) {
			text = append(text, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f)
		} else {
			text = utf8.AppendRune(text, r)
		}
	}
	return string(text)
}

// labelLatin1 is label for ISO 8859-1.
func labelLatin1(field []byte) string {
	var s strings.Builder
	for _, c := range field {
		if c == 0 {
			break
		}
		s.WriteRune(rune(c))
	}
	return trimRight(s.String())
}

func trimRight(s string) string { return strings.TrimRight(s, " \t\n\v\f\r") }

// dashed writes 16 bytes in their order as a UUID, "" if all are zero.
func dashed(b []byte) string {
	if isZero(b) {
		return ""
	}
	s := hex.EncodeToString(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// guid writes 16 bytes as a UUID. Its first three parts are little-endian.
func guid(b []byte) string {
	return dashed([]byte{
		b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6],
		b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15],
	})
}

// product returns a × b, 0 if that cannot be the length of a volume.
func product(a, b uint64) int64 {
	if b != 0 && a > math.MaxInt64/b {
		return 0
	}
	return int64(a * b)
}
