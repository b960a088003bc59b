package guest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// result is how a test ended in the guest.
type result struct {
	name     string // its own, below its parent's
	end      string // pass, fail or skip; "" if it did not end
	output   strings.Builder
	subtests []*result // in the order in which they began
}

// results are the results of a test binary's tests by their full names, out of what it
// prints with -test.v=test2json. Tests that are no subtests are subtests of "".
func results(output string) (map[string]*result, error) {
	cmd := exec.Command("go", "tool", "test2json")
	cmd.Stdin = strings.NewReader(output)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go tool test2json: %w: %s", err, stderr.String())
	}
	all := map[string]*result{"": {}}
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var event struct{ Action, Test, Output string }
		if err := d.Decode(&event); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		r := all[event.Test]
		if r == nil {
			r = add(all, event.Test)
		}
		switch event.Action {
		case "output":
			r.output.WriteString(event.Output)
		case "pass", "fail", "skip":
			r.end = event.Action
		}
	}
}

// add adds a test below the one that began it. A subtest's own name can have
// slashes too.
func add(all map[string]*result, test string) *result {
	r := &result{name: test}
	all[test] = r
	for i := len(test) - 1; i > 0; i-- {
		if parent := all[test[:i]]; test[i] == '/' && parent != nil {
			r.name = test[i+1:]
			parent.subtests = append(parent.subtests, r)
			return r
		}
	}
	all[""].subtests = append(all[""].subtests, r)
	return r
}

// takeOver ends a test as another one did in the guest, with its subtests.
func (r *result) takeOver(t *testing.T) {
	t.Helper()
	for _, sub := range r.subtests {
		t.Run(sub.name, sub.takeOver)
	}
	output := r.output.String()
	switch r.end {
	case "pass":
		t.Logf("in the guest:\n%s", output)
	case "skip":
		t.Skip(reason(output))
	case "fail":
		t.Errorf("in the guest:\n%s", output)
	default:
		t.Errorf("in the guest it did not end:\n%s", output)
	}
}

// logged is a line that a test logged: the place in the source, and the text.
var logged = regexp.MustCompile(`(?m)^\s+\S+\.go:\d+: (.*)$`)

// reason is why a test was skipped, by the last line that it logged.
func reason(output string) string {
	lines := logged.FindAllStringSubmatch(output, -1)
	if lines == nil {
		return "skipped in the guest, no reason given"
	}
	return lines[len(lines)-1][1]
}
