package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Untrue says what in got, taken of a damaged copy of want's tree, is false: a
// property that differs and is no error, an entry that never was, or one that
// is missing from a folder whose listing did not fail. It is empty where got is
// a part of the truth.
func Untrue(want, got Manifest) string {
	var lines []string
	found := byPath(got)
	wanted := byPath(want)
	for i := range got {
		g := &got[i]
		if g.Err != "" {
			continue
		}
		w, ok := wanted[keyOf(g)]
		if !ok {
			lines = append(lines, fmt.Sprintf("%s: never was, %s", strconv.Quote(g.Path), summary(g)))
			continue
		}
		lines = append(lines, falseColumns(w, g)...)
	}
	for i := range want {
		w := &want[i]
		if found[keyOf(w)] == nil && found[key{w.Path, true}] == nil && !excused(found, w.Path) {
			lines = append(lines, fmt.Sprintf("%s: missing, and no error", strconv.Quote(w.Path)))
		}
	}
	return joinLines(lines)
}

func falseColumns(want, got *Entry) []string {
	w, g := want.columns(), got.columns()
	if want.More != nil && got.More != nil {
		w, g = append(w, want.More.columns()...), append(g, got.More.columns()...)
	}
	var lines []string
	for i := range w {
		if w[i] != g[i] && !failed(g[i]) {
			a, b := clip(w[i].value, g[i].value)
			lines = append(lines, fmt.Sprintf("%s: %s %s, want %s or an error", strconv.Quote(want.Path), w[i].name, b, a))
		}
	}
	if want.More != nil && got.More != nil {
		for _, d := range got.More.Entries {
			if _, ok := slices.BinarySearch(want.More.Entries, d); !ok {
				lines = append(lines, fmt.Sprintf("%s: unexpected entry %s", strconv.Quote(want.Path), d))
			}
		}
	}
	return lines
}

func failed(c column) bool {
	return strings.HasPrefix(c.value, "!") || c.name == "xattrs" && strings.Contains(c.value, "=!")
}

// excused says that a folder above path, or its listing, failed.
func excused(found map[key]*Entry, path string) bool {
	for path != "." {
		at := strings.LastIndexByte(path, '/')
		if at < 0 {
			path = "."
		} else {
			path = path[:at]
		}
		if found[key{path, true}] != nil {
			return true
		}
	}
	return false
}
