package layers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestOutputGoesOnlyWhereItsErrorsAreKept looks for commands that print on standard
// output past the one writer that keeps its errors.
func TestOutputGoesOnlyWhereItsErrorsAreKept(t *testing.T) {
	t.Parallel()
	const writer = "cli/output.go"
	past := map[string]bool{"os.Stdout": true, "fmt.Print": true, "fmt.Printf": true, "fmt.Println": true}
	found := false
	eachFile(t, func(path string) {
		name, err := filepath.Rel(top, path)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Dir(name) != filepath.Dir(writer) || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := s.X.(*ast.Ident)
			if !ok || !past[pkg.Name+"."+s.Sel.Name] {
				return true
			}
			if name == writer {
				found = true
			} else {
				t.Errorf("%s: %s.%s: print by the writer of %s", files.Position(s.Pos()), pkg.Name, s.Sel.Name, writer)
			}
			return true
		})
	})
	if !found {
		t.Errorf("%s does not write to standard output", writer)
	}
}
