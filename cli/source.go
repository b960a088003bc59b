package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"thintree/fusefs/tree"
	"thintree/meta"
	"thintree/meta/systems"
	"thintree/thin"
	"thintree/thin/lend"
	"thintree/volfs"
)

// sourceHelp says in a command's help what its arguments can be.
var sourceHelp = "SOURCE is one of\n" + systemsHelp() + `   DIR               a folder, recognised by what lies there
Links in a Docker root or store lead nowhere out of it. If it lies in a var/lib, as
in /mnt/var/lib/docker, they lead nowhere out of the system there, /mnt. So it can be
another machine's.
VOLUME is a volume's name or the beginning of one, @ID for a device id, or
container:NAME or image:NAME, which begin at their root folder.`

// systemsHelp has the naming systems, each with its help in a column beside it.
func systemsHelp() string {
	var b strings.Builder
	for _, s := range systems.All() {
		left := s.Form()
		for line := range strings.SplitSeq(s.Help, "\n") {
			fmt.Fprintf(&b, "   %-17s %s\n", left, line)
			left = ""
		}
	}
	return b.String()
}

// sourceFlags returns the flags of every command that reads a source.
func sourceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "pool", Usage: "where the pool is, when its records do not tell: `META,DATA`"},
		&cli.StringFlag{Name: "names", Usage: "names for a bare pool: `FILE` with lines of device_id size_in_sectors name"},
		&cli.BoolFlag{Name: "held-root", Usage: "read the pool as of its metadata snapshot"},
		&cli.StringFlag{Name: "engine", Value: string(tree.EngineAuto), Usage: "what reads the filesystems: kernel, direct, or `auto`"},
		&cli.StringFlag{Name: "live", Value: string(tree.LiveAuto), Usage: "what is shown of a volume that is in use: bind (through its mount), snapshot, disk, skip, or `auto`"},
		&cli.StringFlag{Name: "journal", Value: string(volfs.JournalReplay), Usage: "what the kernel engine does about a journal: `replay` it in memory, or skip it"},
	}
}

// looksLikeSource reports whether an argument can be a source. Otherwise it is a misspelt
// command.
func looksLikeSource(arg string) bool {
	return strings.ContainsAny(arg, ":/")
}

// openSource opens the source that an argument names.
func openSource(c *cli.Context, arg string) (meta.Source, error) {
	name, argument, ok := strings.Cut(arg, ":")
	if !ok || strings.Contains(name, "/") {
		return recognise(c, arg)
	}
	for _, s := range systems.All() {
		if s.Name == name {
			return openAs(c, s, arg, argument)
		}
	}
	return nil, wrongUse("%s: no such kind of source: %s are known", arg, list(forms(), "and"))
}

// openAs opens a source of a naming system. arg is as the person wrote it.
func openAs(c *cli.Context, s meta.System, arg, argument string) (meta.Source, error) {
	o := meta.Options{Pool: c.String("pool"), Names: c.String("names")}
	switch {
	case o.Pool != "" && !s.TakesPool:
		return nil, wrongUse("--pool: %s names a pool already", arg)
	case o.Names != "" && !s.TakesNames:
		return nil, wrongUse("--names: %s has names of its own", s.Noun)
	}
	source, err := s.Open(argument, o)
	if err != nil {
		return nil, wrongUse("%v", err)
	}
	return source, nil
}

// forms are the ways to write a SOURCE with the name of its system.
func forms() (all []string) {
	for _, s := range systems.All() {
		all = append(all, s.Form())
	}
	return all
}

// list joins words as a sentence does: "a, b or c".
func list(words []string, last string) string {
	n := len(words) - 1
	if n < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:n], ", ") + " " + last + " " + words[n]
}

// recognise opens what lies at a path as a source of the first system that takes it.
func recognise(c *cli.Context, path string) (meta.Source, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: no such file or folder: a source is %s", path, list(append(forms(), "a path"), "or"))
	}
	if err != nil {
		return nil, err
	}
	var refused error
	var signs []string
	for _, s := range systems.All() {
		found, err := s.Recognise(c.Context, path)
		if found {
			return openAs(c, s, path, path)
		}
		refused = cmp.Or(refused, err)
		if s.Sign != "" {
			signs = append(signs, s.Sign)
		}
	}
	if refused != nil {
		return nil, refused
	}
	return nil, fmt.Errorf("%s: nothing in this folder is known: %s", path, strings.Join(signs, ", "))
}

// openTimeout is the default of how long a volume waits for its turn, or for a suspended
// pool.
const openTimeout = time.Minute

// openTree opens the sources of a command that reads them and ends.
func openTree(c *cli.Context, args ...string) (*tree.Tree, error) {
	sources, err := openSources(c, args)
	if err != nil {
		return nil, err
	}
	return openTreeWith(c, tree.Options{MaxActive: 16, OpenTimeout: openTimeout, Log: commandLog()}, sources)
}

// commandLog logs errors only, without the time.
func commandLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{
		Level: slog.LevelError,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

// openSources opens the sources that arguments name.
func openSources(c *cli.Context, args []string) (sources []meta.Source, err error) {
	for _, arg := range args {
		s, err := openSource(c, arg)
		if err != nil {
			return nil, err
		}
		sources = append(sources, s)
	}
	return sources, nil
}

func openTreeWith(c *cli.Context, o tree.Options, sources []meta.Source) (*tree.Tree, error) {
	o.HeldRoot = c.Bool("held-root")
	if err := chooseEngine(c, &o); err != nil {
		return nil, err
	}
	return tree.New(c.Context, sources, o)
}

// chooseEngine reads --engine, --live and --journal. It opens the kernel's device-mapper if
// that may be needed and can be used.
func chooseEngine(c *cli.Context, o *tree.Options) error {
	o.Engine, o.Live, o.Journal = tree.Engine(c.String("engine")), tree.Live(c.String("live")), volfs.Journal(c.String("journal"))
	switch {
	case !slices.Contains([]tree.Engine{tree.EngineAuto, tree.EngineKernel, tree.EngineDirect}, o.Engine):
		return wrongUse("--engine %s: auto, kernel and direct are known", o.Engine)
	case !slices.Contains([]tree.Live{tree.LiveAuto, tree.LiveBind, tree.LiveSnapshot, tree.LiveDisk, tree.LiveSkip}, o.Live):
		return wrongUse("--live %s: auto, bind, snapshot, disk and skip are known", o.Live)
	case o.Journal != volfs.JournalReplay && o.Journal != volfs.JournalSkip:
		return wrongUse("--journal %s: replay and skip are known", o.Journal)
	case o.Engine == tree.EngineDirect && (o.Live == tree.LiveBind || o.Live == tree.LiveSnapshot):
		return wrongUse("--live %s: only the kernel engine can", o.Live)
	case o.Engine == tree.EngineKernel && o.HeldRoot:
		return wrongUse("--held-root: the kernel shows a pool as it is now: take --engine direct")
	}
	needed := o.Engine == tree.EngineKernel || o.Live != tree.LiveAuto && o.Live != tree.LiveDisk
	if o.Engine == tree.EngineDirect && !needed {
		return nil
	}
	kernel, err := thin.OpenKernel()
	if err == nil {
		o.Kernel = lend.New(kernel)
		return nil
	}
	if needed {
		return err
	}
	return nil // the direct engine does without
}

// warn prints the warnings about the sources, except for those in told, which the command
// has printed already. It reports whether there are any warnings.
func warn(t *tree.Tree, told ...string) bool {
	list := t.Warnings()
	slices.Sort(told)
	for _, err := range list {
		text := err.Error()
		if _, known := slices.BinarySearch(told, text); !known {
			fmt.Fprintln(os.Stderr, "thintree: warning:", oneLine(text))
		}
	}
	return len(list) > 0
}

// splitPath splits VOLUME:/PATH at the first ":/".
func splitPath(arg string) (volume, path string) {
	if i := strings.Index(arg, ":/"); i >= 0 {
		return arg[:i], arg[i+1:]
	}
	return arg, "/"
}

// find returns the entry that an argument VOLUME[:/PATH] names.
func find(ctx context.Context, t *tree.Tree, arg string, follow bool) (tree.Entry, error) {
	volume, path := splitPath(arg)
	if volume == "" {
		return tree.Entry{}, wrongUse("%q names no volume: VOLUME or VOLUME:/PATH", arg)
	}
	start, err := t.Find(ctx, volume)
	if err != nil {
		return tree.Entry{}, err
	}
	e, err := t.Walk(ctx, start.ID, path, follow)
	if err != nil {
		return tree.Entry{}, fmt.Errorf("%s:%w", volume, err)
	}
	return e, nil
}
