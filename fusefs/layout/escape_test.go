package layout

import (
	"strings"
	"testing"
)

func TestNamesStayAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"web", "a/b/c", "docker.io/library/base:1", "sha256:ab", "größe", "a b", ".x", "...", "50%-off"} {
		if got := Escape(name); got != name {
			t.Errorf("Escape(%q) = %q, want the same", name, got)
		}
	}
}

func TestNamesThatAreNoPathAreEscaped(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":                       "%",
		".":                      "%2E",
		"..":                     "%2E.",
		"a/../b":                 "a/%2E./b",
		"/a":                     "%2Fa",
		"a/":                     "a%2F",
		"a//b":                   "a/%2Fb",
		"/":                      "%2F",
		"//":                     "%2F%2F",
		"a\nb":                   "a%0Ab",
		"a\x00":                  "a%00",
		"\xff\xfe":               "%FF%FE",
		"a\u0085b":               "a%C2%85b",
		"100%":                   "100%25",
		"%41":                    "%2541",
		"a%/b":                   "a%25/b",
		"a%\x01":                 "a%25%01",
		strings.Repeat("x", 231): strings.Repeat("x", 230) + "%/x",
	} {
		got := Escape(name)
		if got != want {
			t.Errorf("Escape(%q) = %q, want %q", name, got, want)
		}
		if !validName(got) {
			t.Errorf("Escape(%q) = %q is no path", name, got)
		}
		if back := Unescape(got); back != name {
			t.Errorf("Unescape(%q) = %q, want %q", got, back, name)
		}
	}
}

func FuzzEscapeIsReversible(f *testing.F) {
	for _, name := range []string{"", ".", "a//b/", "%%%", "%2", "a%/%/b", strings.Repeat("ü%", 300), strings.Repeat("/", 500)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := Escape(name)
		if !validName(got) {
			t.Fatalf("Escape(%q) = %q is no path", name, got)
		}
		for _, part := range strings.Split(got, "/") {
			if len(part) > maxPart+1 {
				t.Fatalf("Escape(%q) has a part of %d bytes", name, len(part))
			}
		}
		if back := Unescape(got); back != name {
			t.Fatalf("Unescape(Escape(%q)) = %q", name, back)
		}
		if again := Escape(name); again != got {
			t.Fatalf("Escape(%q) = %q, then %q", name, got, again)
		}
	})
}

// validName reports whether a name is a valid path below a folder: no component is empty, "." or
// "..", is longer than 255 bytes, or contains a NUL.
func validName(name string) bool {
	for c := range strings.SplitSeq(name, "/") {
		if c == "" || c == "." || c == ".." || len(c) > 255 || strings.ContainsRune(c, 0) {
			return false
		}
	}
	return true
}
