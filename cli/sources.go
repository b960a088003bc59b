package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"thintree/meta"
	"thintree/meta/systems"
	"thintree/thin"
	"thintree/thin/block"
	"thintree/thin/inuse"
)

func sourcesCommand() *cli.Command {
	return &cli.Command{
		Name:      "sources",
		Usage:     "find the sources that this host has",
		ArgsUsage: " ",
		Description: `It looks for Docker, containerd and podman roots, for volume groups on the host's disks,
and for pools that device-mapper has active. Root sees more of them than others.
thintree mount --all MOUNTPOINT shows all of them in one tree.`,
		Flags:              []cli.Flag{jsonFlag()},
		CustomHelpTemplate: exits{done: "all sources were listed", partial: "listed, but some cannot be read, or there may be more: the list or standard error says why"}.after(commandHelp),
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return wrongUse("sources takes no arguments: thintree sources")
			}
			found, problems := findSources(c.Context)
			if err := printSources(c, found); err != nil {
				return err
			}
			for _, err := range problems {
				fmt.Fprintln(os.Stderr, "thintree: warning:", oneLine(err.Error()))
			}
			if len(problems) > 0 || slices.ContainsFunc(found, func(f foundSource) bool { return f.Problem != "" }) {
				return errPartial
			}
			return nil
		},
	}
}

// foundSource is a source of this host, as --json prints it.
type foundSource struct {
	Source string `json:"source"`
	Kind   string `json:"kind"`
	// Mount is the command that mounts it, without the mountpoint.
	Mount string `json:"mount"`
	// Volumes is how many volumes have a record.
	Volumes int `json:"volumes"`
	// Problem is why the source cannot be read.
	Problem string `json:"problem,omitempty"`
}

// findSources finds the sources of this host. problems are why there may be more.
func findSources(ctx context.Context) (found []foundSource, problems []error) {
	var pools []meta.Pool // of the sources
	for _, s := range systems.All() {
		if s.Find == nil {
			continue
		}
		args, err := s.Find(ctx)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", s.Form(), err))
		}
		for _, arg := range args {
			f, cat := lookAt(ctx, s, arg)
			found = append(found, f)
			pools = append(pools, cat.Pools...)
		}
	}
	active, err := activePools(ctx, pools)
	if err != nil {
		problems = append(problems, err)
	}
	return append(found, active...), problems
}

// lookAt loads a source that was found.
func lookAt(ctx context.Context, s meta.System, arg string) (foundSource, *meta.Catalog) {
	f := foundSource{Source: s.Name + ":" + arg, Kind: s.Noun}
	f.Mount = "thintree mount " + block.ShellQuote(f.Source)
	cat := &meta.Catalog{}
	source, err := s.Open(arg, meta.Options{})
	if err == nil {
		var loaded *meta.Catalog
		if loaded, err = source.Load(ctx); err == nil {
			cat = loaded
		}
	}
	if err != nil {
		f.Problem = err.Error()
	}
	f.Volumes = len(cat.Volumes)
	return f, cat
}

// activePools finds the pools that device-mapper has active, but for those of sources that were found
// otherwise. It finds none if device-mapper cannot be used.
func activePools(ctx context.Context, known []meta.Pool) (found []foundSource, err error) {
	k, err := thin.OpenKernel()
	if err != nil {
		return nil, nil
	}
	defer k.Close()
	names, err := k.Pools(ctx)
	if err != nil {
		return nil, err
	}
	taken := make(map[string]bool)
	for _, p := range known {
		taken[p.Device] = true
		if at := p.Metadata; !at.IsNowhere() {
			if active, err := k.FindPool(ctx, at); err == nil {
				taken[active.Name()] = true
			}
		}
	}
	for _, name := range names {
		if !taken[name] && !strings.HasPrefix(name, inuse.LentPrefix) {
			source := "dm:" + name
			found = append(found, foundSource{Source: source, Kind: "an active pool", Mount: "thintree mount " + block.ShellQuote(source)})
		}
	}
	return found, nil
}

func printSources(c *cli.Context, found []foundSource) error {
	if c.Bool("json") {
		return printJSON(append([]foundSource{}, found...))
	}
	if len(found) == 0 {
		fmt.Fprintln(os.Stderr, "thintree: this host has no sources that can be found")
		return nil
	}
	w := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "SOURCE\tVOLUMES\tMOUNT IT WITH")
	for _, f := range found {
		volumes, how := fmt.Sprint(f.Volumes), f.Mount+" MOUNTPOINT"
		if f.Problem != "" {
			volumes, how = "-", "cannot be read: "+oneLine(strings.TrimPrefix(f.Problem, f.Source+": "))
		}
		if strings.HasPrefix(f.Source, "dm:") {
			volumes = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", printable(f.Source), volumes, how)
	}
	return w.Flush()
}
