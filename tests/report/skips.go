package main

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// logLine is a line that a test logged: the place in the source, and the text.
var logLine = regexp.MustCompile(`^\s+\S+\.go:\d+: (.*)$`)

// reason is why a test was left out, by the last line that it logged.
func reason(output string) string {
	why := "no reason given"
	for line := range strings.Lines(output) {
		if m := logLine.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			why = m[1]
		}
	}
	return why
}

// kind is what a reason has in common with others: "needs root: mounts ext4" is
// "needs root".
func kind(reason string) string {
	k, _, _ := strings.Cut(reason, ":")
	return k
}

// printSkips lists the tests that were left out by kind of reason, the most
// frequent first.
func (r *report) printSkips() {
	if len(r.left) == 0 {
		return
	}
	kinds := map[string][]skip{}
	for _, s := range r.left {
		kinds[kind(s.reason)] = append(kinds[kind(s.reason)], s)
	}
	order := slices.SortedFunc(maps.Keys(kinds), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(kinds[b]), len(kinds[a])), cmp.Compare(a, b))
	})
	sums := make([]string, len(order))
	for i, k := range order {
		sums[i] = fmt.Sprintf("%s: %d", k, len(kinds[k]))
	}
	fmt.Fprintf(r.out, "\n%d tests left out: %s\n", len(r.left), strings.Join(sums, ", "))
	for _, k := range order {
		for _, s := range kinds[k] {
			fmt.Fprintf(r.out, "  %s (%s)\n", s.test, s.reason)
		}
	}
	fmt.Fprintln(r.out)
}
