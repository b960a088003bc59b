package guest

import (
	"os"
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

func TestSkipInTheGuestIsASkip(t *testing.T) {
	t.Parallel()
	const output = `=== RUN   TestX
    x_test.go:3: a line
    x_test.go:5: needs root: to mount
--- SKIP: TestX (0.00s)
PASS
`
	if why := skipped("TestX", output); why != "needs root: to mount" {
		t.Errorf("the reason is %q", why)
	}
	if why := skipped("TestY", output); why != "" {
		t.Errorf("another test counts as skipped: %q", why)
	}
}
