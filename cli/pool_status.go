package cli

import (
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"thintree/thin"
	"thintree/thin/deviceset"
)

func poolStatusCommand() *cli.Command {
	return &cli.Command{
		Name:      "status",
		Usage:     "show how full pools are, and their modes",
		ArgsUsage: "[POOL…]",
		Description: `Without a POOL it shows all active thin pools of this host. If the pool of a store is
not active, it is activated meanwhile.

` + poolHelp,
		Flags:              []cli.Flag{jsonFlag(), optFlag()},
		BashComplete:       completePools,
		CustomHelpTemplate: exits{done: "all pools were shown", partial: "shown, but part of a store could not be read: standard error says which"}.after(commandHelp),
		Action:             until(poolStatus),
	}
}

func poolStatus(c *cli.Context) error {
	args := c.Args().Slice()
	if len(args) == 0 {
		err := withKernel(func(k *thin.Kernel) (err error) {
			args, err = k.Pools(c.Context)
			return err
		})
		if err != nil {
			return err
		}
		for i := range args {
			args[i] = "dm:" + args[i]
		}
	}
	list := []poolReport{}
	for _, arg := range args {
		r, err := poolReportOf(c, arg)
		if err != nil {
			return err
		}
		list = append(list, r)
	}
	if c.Bool("json") {
		if err := printJSON(list); err != nil {
			return err
		}
	}
	for i, r := range list {
		if c.Bool("json") {
			break
		}
		if i > 0 {
			fmt.Fprintln(stdout)
		}
		r.print()
	}
	if slices.ContainsFunc(list, poolReport.partial) {
		return errPartial
	}
	return nil
}

func poolReportOf(c *cli.Context, arg string) (r poolReport, err error) {
	err = onPool(c, arg, func(k *thin.Kernel, s *deviceset.DeviceSet) error {
		r, err = reportStore(c.Context, k, s)
		return err
	}, func(k *thin.Kernel, p *thin.Pool) error {
		r, err = reportPool(c.Context, p)
		return err
	})
	return r, err
}

// partial reports whether something in a store could not be read. Problems says what.
func (r poolReport) partial() bool { return r.storeReport != nil && len(r.Problems) > 0 }

// show prints the one pool of a command.
func (r poolReport) show(c *cli.Context) error {
	if !c.Bool("json") {
		r.print()
	} else if err := printJSON(r); err != nil {
		return err
	}
	if r.partial() {
		return errPartial
	}
	return nil
}
