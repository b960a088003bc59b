package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Diff says how got differs from want: a line for each property that does, and the first of
// them if there are many. It is empty if they are the same. More is compared if both have it.
func Diff(want, got Manifest) string {
	var lines []string
	wanted := byPath(want)
	found := byPath(got)
	for i := range want {
		key := keyOf(&want[i])
		if g, ok := found[key]; ok {
			lines = append(lines, diffEntry(&want[i], g)...)
		} else {
			lines = append(lines, fmt.Sprintf("%s: missing, want %s", strconv.Quote(want[i].Path), summary(&want[i])))
		}
	}
	for i := range got {
		if _, ok := wanted[keyOf(&got[i])]; !ok {
			lines = append(lines, fmt.Sprintf("%s: unexpected, %s", strconv.Quote(got[i].Path), summary(&got[i])))
		}
	}
	return joinLines(lines)
}

// joinLines makes a report that fits on a screen.
func joinLines(lines []string) string {
	const maxLines, maxBytes = 25, 300
	if more := len(lines) - maxLines; more > 0 {
		lines = append(lines[:maxLines], fmt.Sprintf("… and %d more", more))
	}
	for i, line := range lines {
		if len(line) > maxBytes {
			lines[i] = line[:maxBytes/2] + " … " + line[len(line)-maxBytes/2:]
		}
	}
	return strings.Join(lines, "\n")
}

// key distinguishes the entry of a folder and the failure of its listing.
type key struct {
	path   string
	failed bool
}

func keyOf(e *Entry) key { return key{e.Path, e.Err != ""} }

func byPath(m Manifest) map[key]*Entry {
	entries := make(map[key]*Entry, len(m))
	for i := range m {
		entries[keyOf(&m[i])] = &m[i]
	}
	return entries
}

func summary(e *Entry) string {
	if e.Err != "" {
		return e.Err
	}
	return fmt.Sprintf("type %o, %d bytes", e.Mode>>12, e.Size)
}

func diffEntry(want, got *Entry) []string {
	path := strconv.Quote(want.Path)
	if want.Err != "" {
		if want.Err != got.Err {
			return []string{fmt.Sprintf("%s: failed with %s, want %s", path, got.Err, want.Err)}
		}
		return nil
	}
	w, g := want.columns(), got.columns()
	if want.More != nil && got.More != nil {
		w, g = append(w, want.More.columns()...), append(g, got.More.columns()...)
	}
	var lines []string
	for i := range w {
		if w[i] != g[i] {
			a, b := clip(w[i].value, g[i].value)
			lines = append(lines, fmt.Sprintf("%s: %s %s, want %s", path, w[i].name, b, a))
		}
	}
	if want.More != nil && got.More != nil {
		lines = append(lines, diffSets(path, want.More.Entries, got.More.Entries)...)
	}
	return lines
}

// diffSets compares the entries of a folder, both sorted.
func diffSets(path string, want, got []string) []string {
	var lines []string
	for _, w := range want {
		if _, ok := slices.BinarySearch(got, w); !ok {
			lines = append(lines, fmt.Sprintf("%s: lacks entry %s", path, w))
		}
	}
	for _, g := range got {
		if _, ok := slices.BinarySearch(want, g); !ok {
			lines = append(lines, fmt.Sprintf("%s: unexpected entry %s", path, g))
		}
	}
	if len(lines) == 0 && len(want) != len(got) {
		lines = append(lines, fmt.Sprintf("%s: %d entries, want %d: some are there twice", path, len(got), len(want)))
	}
	return lines
}

// clip shortens two long values to where they part.
func clip(a, b string) (string, string) {
	const before, length = 20, 80
	if len(a) <= length && len(b) <= length {
		return a, b
	}
	from := 0
	for from < len(a) && from < len(b) && a[from] == b[from] {
		from++
	}
	from = max(0, from-before)
	return window(a, from, length), window(b, from, length)
}

func window(s string, from, length int) string {
	to := min(len(s), from+length)
	out := s[from:to]
	if from > 0 {
		out = fmt.Sprintf("(after %d characters) …%s", from, out)
	}
	if to < len(s) {
		out += fmt.Sprintf("… (%d characters)", len(s))
	}
	return out
}
