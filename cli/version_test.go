package cli

import (
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersionIsTheModulesOrTheRevision(t *testing.T) {
	t.Parallel()
	const revision = "11fc763b4a5d8e1f0c2b3a4d5e6f708192a3b4c5"
	vcs := func(modified string) []debug.BuildSetting {
		return []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: revision}, {Key: "vcs.modified", Value: modified}}
	}
	for _, c := range []struct {
		module   string
		settings []debug.BuildSetting
		want     string
	}{
		{"v1.2.3", nil, "v1.2.3"},
		{"v1.2.3", vcs("false"), "v1.2.3"},
		{"v1.2.4-0.20251129055810-11fc763b4a5d+dirty", vcs("true"), "v1.2.4-0.20251129055810-11fc763b4a5d+dirty"},
		{"(devel)", vcs("false"), "11fc763b4a5d"},
		{"(devel)", vcs("true"), "11fc763b4a5d+dirty"},
		{"", vcs("true"), "11fc763b4a5d+dirty"},
		{"(devel)", nil, "unknown"},
	} {
		info := &debug.BuildInfo{Main: debug.Module{Version: c.module}, Settings: c.settings}
		if got := versionOf(info); got != c.want {
			t.Errorf("%s, %v: %q, want %q", c.module, c.settings, got, c.want)
		}
	}
}

func TestVersionIsPrinted(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if status, stderr := program(t, &out, "--version"); status != statusDone || stderr != "" || !regexp.MustCompile(`^thintree version \S+\n$`).MatchString(out.String()) {
		t.Errorf("exit status %d: %q%s", status, out.String(), stderr)
	}
}
