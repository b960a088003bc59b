package cli

import (
	"context"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"
)

// until makes a command end in order at a signal, or if nothing reads its output any more: it
// completes or undoes the step under way. A second signal ends it at once, but a second write
// to the closed pipe does not.
func until(action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		ctx, stop := signal.NotifyContext(c.Context, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		// A write that fails with EPIPE raises SIGPIPE twice: the kernel does, and then os.File.
		ctx, stopPipe := signal.NotifyContext(ctx, syscall.SIGPIPE)
		defer stopPipe()
		context.AfterFunc(ctx, stop)
		c.Context = ctx
		return action(c)
	}
}
