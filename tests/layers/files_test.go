package layers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const top = "../.." // the repository

// eachFile calls f for each file of the repository, but for what was built and
// what tests only read.
func eachFile(t *testing.T, f func(path string)) {
	t.Helper()
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", "build", "testdata"}, d.Name()) {
			return fs.SkipDir
		}
		if d.Type().IsRegular() {
			f(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPackagesSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	said := map[string]bool{} // by folder
	eachFile(t, func(path string) {
		if !strings.HasSuffix(path, ".go") {
			return
		}
		dir := filepath.Dir(path)
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Error(err)
			return
		}
		said[dir] = said[dir] || saysWhatItIs(file)
	})
	for dir, ok := range said {
		if !ok {
			t.Errorf("%s: no package comment", dir)
		}
	}
}

// saysWhatItIs reports whether a package comment begins as go doc wants it; that
// of a program begins with the program's name.
func saysWhatItIs(file *ast.File) bool {
	doc := file.Doc.Text()
	return strings.HasPrefix(doc, "Package "+file.Name.Name+" ") || doc != "" && file.Name.Name == "main"
}

func TestNoFileNamesAPlaceOfOneMachine(t *testing.T) {
	t.Parallel()
	here, err := filepath.Abs(top)
	if err != nil {
		t.Fatal(err)
	}
	place := regexp.MustCompile(`(?m)(^|[\s"'=:(,` + "`" + `])(/(home|Users|work|workspace)/\w|` + regexp.QuoteMeta(here) + `\b|\.\./shared)`)
	eachFile(t, func(path string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			return
		}
		if m := place.Find(text); m != nil {
			t.Errorf("%s names %q", path, m)
		}
	})
}

func TestCommandsOfTheREADMEAreThere(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join(top, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(top, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(\w+):`).FindAllSubmatch(makefile, -1) {
		targets[string(m[1])] = true
	}
	for _, command := range []string{"demo", "test"} {
		if !regexp.MustCompile(`\bmake ` + command + `\b`).Match(readme) {
			t.Errorf("README.md does not tell of make %s", command)
		}
	}
	for _, m := range regexp.MustCompile("(?m)(?:^\\s*\\$?\\s*|`)make (\\w+)").FindAllSubmatch(readme, -1) {
		if !targets[string(m[1])] {
			t.Errorf("README.md tells of make %s, which the Makefile has not", m[1])
		}
	}
}
