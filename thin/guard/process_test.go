package guard

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestWhatIsHeldAtTheEndIsResumed(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", slotBytes-1)
	for _, names := range [][]string{nil, {"a"}, {"", "a"}, {"a", "", "b"}, {"a", "a"}, {"a b:#", long}, {"", ""}} {
		var table []byte
		for _, name := range names {
			table = append(table, append([]byte(name), make([]byte, slotBytes-len(name))...)...)
		}
		var got []string
		watch(strings.NewReader(""), bytes.NewReader(table), func(name string) { got = append(got, name) })
		want := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "" })
		if !slices.Equal(got, want) {
			t.Errorf("%.40q: %q", names, got)
		}
	}
}

func TestWhatIsNoNameIsNotHeld(t *testing.T) {
	t.Parallel()
	g := New()
	for _, name := range []string{"", "a\x00b", strings.Repeat("n", slotBytes)} {
		if _, err := g.Hold(name); err == nil {
			t.Errorf("%.40q is held", name)
		}
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}
