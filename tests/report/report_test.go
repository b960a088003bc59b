package main

import (
	"strings"
	"testing"
)

// run reports on events, given as lines of action, test and output.
func run(t *testing.T, stream string) (output string, ok bool) {
	t.Helper()
	var out strings.Builder
	r := newReport(&out)
	if err := r.read(strings.NewReader(stream)); err != nil {
		t.Fatal(err)
	}
	ok = r.finish()
	return out.String(), ok
}

const (
	passed  = `{"Action":"pass","Package":"p","Test":"TestA"}` + "\n"
	skipped = `{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:7: needs root: mounts\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
`
	subtests = `{"Action":"run","Package":"p","Test":"TestC"}
{"Action":"output","Package":"p","Test":"TestC/one","Output":"    c_test.go:9: one is two\n"}
{"Action":"fail","Package":"p","Test":"TestC/one"}
{"Action":"pass","Package":"p","Test":"TestC/two"}
{"Action":"fail","Package":"p","Test":"TestC"}
`
	packagePassed = `{"Action":"pass","Package":"p","Elapsed":1.5}` + "\n"
	packageFailed = `{"Action":"fail","Package":"p","Elapsed":1.5}` + "\n"
)

func TestLastLineCounts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stream, last string
		ok           bool
	}{
		"a pass":                {passed + packagePassed, "1 passed, 0 failed, 0 skipped", true},
		"a skip":                {passed + skipped + packagePassed, "1 passed, 0 failed, 1 skipped", true},
		"only skips":            {skipped + packagePassed, "0 passed, 0 failed, 1 skipped", false},
		"nothing":               {"", "0 passed, 0 failed, 0 skipped", false},
		"subtests, not parents": {passed + subtests + packageFailed, "2 passed, 1 failed, 0 skipped", false},
		"subtests, and a parent that skips the rest": {
			strings.ReplaceAll(passed, "TestA", "TestB/one") + skipped + packagePassed, "1 passed, 0 failed, 1 skipped", true},
		"a package that fails on its own": {
			passed + packageFailed, "1 passed, 1 failed, 0 skipped", false},
		"a test that does not end": {
			passed + `{"Action":"run","Package":"p","Test":"TestD"}` + "\n" + packageFailed, "1 passed, 1 failed, 0 skipped", false},
		"a stream that ends early": {passed, "0 passed, 1 failed, 0 skipped", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, ok := run(t, c.stream)
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if last := lines[len(lines)-1]; last != c.last || ok != c.ok {
				t.Errorf("%q, all well: %v; want %q, %v", last, ok, c.last, c.ok)
			}
		})
	}
}

func TestSkipsAreCountedByReason(t *testing.T) {
	t.Parallel()
	other := strings.NewReplacer("TestB", "TestE", "needs root: mounts", "needs mkfs.xfs: not here").Replace(skipped)
	third := strings.NewReplacer("TestB", "TestF", "mounts", "loop device").Replace(skipped)
	out, _ := run(t, passed+skipped+other+third+packagePassed)
	for _, want := range []string{
		"3 tests left out: needs root: 2, needs mkfs.xfs: 1\n",
		"p TestF (needs root: loop device)\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestFailuresShowTheirOutput(t *testing.T) {
	t.Parallel()
	build := `{"ImportPath":"p","Action":"build-output","Output":"p.go:1: no such thing\n"}` + "\n"
	out, _ := run(t, build+passed+subtests+packageFailed)
	for _, want := range []string{"p.go:1: no such thing", "c_test.go:9: one is two"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "TestA") {
		t.Errorf("a test that passed is shown:\n%s", out)
	}
}
