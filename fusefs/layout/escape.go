package layout

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPart is the length of the longest part of a name that stays in one piece, in bytes. It leaves
// room for suffixes such as ".parts" and "@" with an id.
const maxPart = 230

// Escape turns a name of any bytes into a path below a folder. Slashes in the name make folders.
// Nearly all names stay as they are. In others
//
//   - a byte that cannot be in the name of a file, or would confuse a terminal, is "%" and two
//     hexadecimal digits: control characters, bytes that are not UTF-8, a slash beside another
//     slash or at an end of the name, and the dot of "." and "..",
//   - a part of more than 230 bytes is divided into folders: "%" at the end of a folder's name
//     says that the part goes on below it,
//   - a "%" that could be taken for one of these is "%25".
//
// [Unescape] turns the path back into the name.
func Escape(name string) string {
	if isPlain(name) {
		return name
	}
	var parts []string
	for rest, more := name, true; more; {
		var part string
		part, rest, more = cutPart(rest)
		parts = append(parts, escapePart(part)...)
	}
	return strings.Join(parts, "/")
}

// isPlain reports whether Escape leaves a name as it is.
func isPlain(name string) bool {
	begin := 0
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			if c := name[i]; c < ' ' || c == '%' || c >= 0x7f {
				return false // perhaps
			}
			continue
		}
		part := name[begin:i]
		if part == "" || part == "." || part == ".." || len(part) > maxPart {
			return false
		}
		begin = i + 1
	}
	return true
}

// cutPart cuts the first part from a name, at a slash that divides folders. Slashes that do not are
// left in the part.
func cutPart(name string) (part, rest string, more bool) {
	for i := 1; i < len(name)-1; i++ {
		if name[i] == '/' && name[i-1] != '/' {
			return name[:i], name[i+1:], true
		}
	}
	return name, "", false
}

// escapePart escapes a part of a name. It returns several if the part is too long for one.
func escapePart(part string) (pieces []string) {
	if part == "" {
		return []string{"%"} // Unescape drops it
	}
	var b strings.Builder
	add := func(text string) {
		if b.Len()+len(text) > maxPart {
			pieces = append(pieces, b.String()+"%")
			b.Reset()
		}
		b.WriteString(text)
	}
	for i := 0; i < len(part); {
		r, n := utf8.DecodeRuneInString(part[i:])
		bad := r == utf8.RuneError && n == 1 || unicode.IsControl(r) || r == '/' ||
			i == 0 && (part == "." || part == "..") || r == '%' && mustEscape(part[i+1:])
		if !bad {
			add(part[i : i+n])
		} else {
			for _, c := range []byte(part[i : i+n]) {
				add(fmt.Sprintf("%%%02X", c))
			}
		}
		i += n
	}
	return append(pieces, b.String())
}

// mustEscape reports whether a "%" before rest could be taken for an escape.
func mustEscape(rest string) bool {
	return len(rest) < 2 || isHex(rest[0]) && isHex(rest[1]) || len(rest) > maxPart/2
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' || 'a' <= c && c <= 'f'
}

// Unescape turns a path that Escape made back into the name.
func Unescape(path string) string {
	path = strings.TrimSuffix(strings.ReplaceAll(path, "%/", ""), "%")
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if c := path[i]; c == '%' && i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2]) {
			fmt.Sscanf(path[i+1:i+3], "%02X", &c)
			b.WriteByte(c)
			i += 2
			continue
		}
		b.WriteByte(path[i])
	}
	return b.String()
}
