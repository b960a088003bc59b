package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is one of go tool test2json's, or of go build -json's.
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build
	Test       string
	Elapsed    float64 // in seconds
	Output     string
}

// report gathers the packages of a run.
type report struct {
	out      io.Writer
	packages map[string]*pkg
	total    counts
	left     []skip
}

type counts struct{ passed, failed, skipped int }

func (c *counts) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.passed, c.failed, c.skipped)
}

// skip is a test that was left out.
type skip struct{ test, reason string }

// pkg is a package whose tests run.
type pkg struct {
	tests  map[string]*test
	output strings.Builder // what belongs to no test
}

type test struct {
	result string // an event's action, "" while it runs
	output strings.Builder
}

func newReport(out io.Writer) *report {
	return &report{out: out, packages: map[string]*pkg{}}
}

// read reads events until the stream ends. Lines that are none are passed on.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		var e event
		if bytes.HasPrefix(line, []byte("{")) && json.Unmarshal(line, &e) == nil {
			r.add(e)
		} else if _, err := r.out.Write(line); err != nil {
			return err
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) add(e event) {
	if e.Action == "build-output" {
		fmt.Fprint(r.out, e.Output)
	}
	if e.Package == "" {
		return
	}
	p := r.packages[e.Package]
	if p == nil {
		p = &pkg{tests: map[string]*test{}}
		r.packages[e.Package] = p
	}
	if e.Test == "" {
		switch e.Action {
		case "output":
			p.output.WriteString(e.Output)
		case "pass", "fail", "skip":
			r.end(e, p)
			delete(r.packages, e.Package)
		}
		return
	}
	t := p.tests[e.Test]
	if t == nil {
		t = &test{}
		p.tests[e.Test] = t
	}
	switch e.Action {
	case "output":
		t.output.WriteString(e.Output)
	case "pass", "fail", "skip":
		t.result = e.Action
		if e.Action == "fail" {
			fmt.Fprintf(r.out, "FAIL  %s %s\n%s", e.Package, e.Test, t.output.String())
		}
	}
}

// end counts and reports a package that has ended.
func (r *report) end(e event, p *pkg) {
	var c counts
	names := make([]string, 0, len(p.tests))
	for name := range p.tests {
		names = append(names, name)
	}
	slices.Sort(names)
	failed := map[string]bool{} // tests with a failed subtest
	for _, name := range slices.Backward(names) {
		t := p.tests[name]
		hasSubtests := slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, name+"/") })
		switch {
		case t.result == "fail" || t.result == "":
			if t.result == "" {
				fmt.Fprintf(r.out, "FAIL  %s %s did not end\n%s", e.Package, name, t.output.String())
			}
			if !failed[name] {
				c.failed++
			}
			for i, r := range name {
				if r == '/' {
					failed[name[:i]] = true
				}
			}
		case hasSubtests && t.result != "skip": // these count
		case t.result == "pass":
			c.passed++
		default:
			c.skipped++
			r.left = append(r.left, skip{test: e.Package + " " + name, reason: reason(t.output.String())})
		}
	}
	if e.Action == "fail" && c.failed == 0 {
		c.failed++
		fmt.Fprintf(r.out, "FAIL  %s\n%s", e.Package, p.output.String())
	}
	r.total.passed += c.passed
	r.total.failed += c.failed
	r.total.skipped += c.skipped
	if len(names) > 0 || e.Action == "fail" {
		fmt.Fprintf(r.out, "%-5s %s %.1fs: %s%s\n", e.Action, e.Package, e.Elapsed, &c, remarks(p.output.String()))
	}
}

// remarks are what a package's TestMain prints of its own.
func remarks(output string) string {
	var list strings.Builder
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		first, _, _ := strings.Cut(line, "\t")
		switch strings.TrimSpace(first) {
		case "", "PASS", "FAIL", "ok", "testing: warning: no tests to run":
		default:
			if !strings.HasPrefix(line, "exit status ") {
				list.WriteString("; " + line)
			}
		}
	}
	return list.String()
}

// finish prints what was left out and the sums, and reports whether all is well.
func (r *report) finish() bool {
	for name := range r.packages {
		r.total.failed++
		fmt.Fprintf(r.out, "FAIL  %s did not end\n", name)
	}
	r.printSkips()
	fmt.Fprintln(r.out, &r.total)
	return r.total.failed == 0 && r.total.passed > 0
}
