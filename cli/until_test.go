package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/urfave/cli/v2"
)

// writesOn is an action that writes to standard output, a closed pipe, also some time after
// its context has ended.
func writesOn(c *cli.Context) error {
	_, err := os.Stdout.WriteString("once\n")
	if !errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("the first write: %w", err)
	}
	select {
	case <-c.Context.Done():
	case <-time.After(10 * time.Second):
		return fmt.Errorf("the context goes on: %w", context.DeadlineExceeded)
	}
	for range 20 {
		time.Sleep(5 * time.Millisecond)
		if _, err := os.Stdout.WriteString("again\n"); !errors.Is(err, syscall.EPIPE) {
			return fmt.Errorf("a later write: %w", err)
		}
	}
	return nil
}

func TestClosedPipeEndsTheContextAndNotTheProcess(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	if status, stderr := runSelf(t, asWriter, w); status != 0 || stderr != "" {
		t.Errorf("exit status %d: %s", status, stderr)
	}
}
