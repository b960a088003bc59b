package layers

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A reference to a function in the docs: `path/file.go: Type.method`.
var reference = regexp.MustCompile("`([\\w/]+\\.go):\\s+(?:(\\w+)\\.)?(\\w+)`")

func TestFunctionsThatTheDocsNameAreThere(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(top, "docs/architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := reference.FindAllStringSubmatch(string(text), -1)
	if len(found) < 30 {
		t.Errorf("docs/architecture.md names only %d functions", len(found))
	}
	for _, m := range found {
		path, receiver, name := m[1], m[2], m[3]
		source, err := os.ReadFile(filepath.Join(top, path))
		if err != nil {
			t.Errorf("docs/architecture.md: %v", err)
			continue
		}
		declared := `(?m)^func `
		if receiver != "" {
			declared += `\(\w+ \*?` + receiver + `(\[[\w, ]+\])?\) `
		}
		if !regexp.MustCompile(declared + name + `[\[(]`).Match(source) {
			t.Errorf("docs/architecture.md names %s, which has no %s", path, strings.TrimPrefix(receiver+"."+name, "."))
		}
	}
}
