package guest

import (
	"os"
	"strings"
	"testing"
)

func TestBodyRunsInTheGuest(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		if _, err := os.Stat("/dev/mapper/control"); err != nil {
			t.Errorf("no device-mapper: %v", err)
		}
		t.Log("hello from inside")
	})
}

func TestWhatEndsInTheGuestEndsSo(t *testing.T) {
	t.Parallel()
	const mark = "\x16"
	all, err := results(strings.ReplaceAll(`MARK=== RUN   TestX
    x_test.go:3: a line
MARK=== RUN   TestX/a/b
MARK=== NAME  TestX
    x_test.go:5: needs root: to mount
MARK--- SKIP: TestX (0.00s)
    MARK--- PASS: TestX/a/b (0.00s)
MARK=== RUN   TestY
MARK=== RUN   TestY/sub
MARK--- FAIL: TestY (0.00s)
    MARK--- FAIL: TestY/sub (0.00s)
MARK=== RUN   TestZ
`, "MARK", mark))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"TestX": "skip", "TestX/a/b": "pass", "TestY": "fail", "TestY/sub": "fail", "TestZ": ""} {
		if r := all[name]; r == nil || r.end != want {
			t.Errorf("%s is %+v, want one that ends with %q", name, r, want)
		}
	}
	if why := reason(all["TestX"].output.String()); why != "needs root: to mount" {
		t.Errorf("the reason is %q", why)
	}
	for name, want := range map[string]string{"": "TestX TestY TestZ", "TestX": "a/b", "TestY": "sub"} {
		var got []string
		for _, sub := range all[name].subtests {
			got = append(got, sub.name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("below %q: %q, want %s", name, got, want)
		}
	}
}
