package docker

import (
	"fmt"
	"strings"
	"unicode"
)

const (
	digestPrefix = "sha256:"
	idDigits     = 64

	maxName      = 1024 // bytes; Docker's references have at most 455
	maxComponent = 255  // bytes; the limit of a file's name
)

// isID reports whether a text is an id of Docker's: 64 hexadecimal digits.
func isID(text string) bool {
	return len(text) == idDigits && strings.Trim(text, "0123456789abcdef") == ""
}

// fromDigest returns the digits of a digest: "ab…" for "sha256:ab…".
func fromDigest(text string) (digits string, ok bool) {
	digits, ok = strings.CutPrefix(text, digestPrefix)
	return digits, ok && isID(digits)
}

// isVolume reports whether a text can be the name of a volume, and so of a record.
func isVolume(text string) bool {
	return checkName(text) == nil && !strings.Contains(text, "/")
}

// checkName returns an error if a container's or an image's name is not a path below a
// folder in printable characters. All names that Docker gives are.
func checkName(name string) error {
	ok := len(name) <= maxName && !strings.ContainsFunc(name, func(r rune) bool {
		return r == unicode.ReplacementChar || !unicode.IsPrint(r)
	})
	for part := range strings.SplitSeq(name, "/") {
		ok = ok && part != "" && part != "." && part != ".." && len(part) <= maxComponent
	}
	if !ok {
		return fmt.Errorf("the name %.80q is not a valid path", name)
	}
	return nil
}
