package cli

import (
	"strings"
	"testing"

	"thintree/meta/systems"
)

func TestHelpNamesEachNamingSystem(t *testing.T) {
	t.Parallel()
	const first = "SOURCE is one of\n   docker:DIR "
	if !strings.HasPrefix(sourceHelp, first) {
		t.Errorf("help begins with\n%s", sourceHelp)
	}
	for _, s := range systems.All() {
		if !strings.Contains(sourceHelp, "   "+s.Form()+" ") {
			t.Errorf("help does not name %s", s.Form())
		}
	}
}

func TestWordsAreJoinedAsInASentence(t *testing.T) {
	t.Parallel()
	for want, words := range map[string][]string{
		"": nil, "a": {"a"}, "a and b": {"a", "b"}, "a, b and c": {"a", "b", "c"},
	} {
		if got := list(words, "and"); got != want {
			t.Errorf("%q instead of %q", got, want)
		}
	}
}
