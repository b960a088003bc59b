package guard

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestWhatIsHeldAtTheEndIsResumed(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 127)
	for lines, want := range map[string][]string{
		"":                               nil,
		"+a\n":                           {"a"},
		"+a\n-a\n":                       nil,
		"+a\n+b\n-a\n":                   {"b"},
		"+a\n+a\n-a\n":                   {"a"},
		"+a\n+a\n-a\n-a\n":               nil,
		"-a\n":                           nil,
		"-a\n+a\n":                       {"a"},
		"+a\n\n?b\n+c":                   {"a", "c"},
		"+a b:#\n+" + long + "\n":        {"a b:#", long},
		strings.Repeat("+a\n-a\n", 1000): nil,
	} {
		var got []string
		watch(strings.NewReader(lines), func(name string) { got = append(got, name) })
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%.40q: %q, want %q", lines, got, want)
		}
	}
}

func TestNameThatIsNoLine(t *testing.T) {
	t.Parallel()
	g := New()
	if _, err := g.Hold("a\nb"); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", "a\nb")) {
		t.Error(err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}
