package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"thintree/fusefs/tree"
	"thintree/fusefs/volume"
	"thintree/meta"
	"thintree/meta/systems"
	"thintree/thin"
	"thintree/thin/lend"
	"thintree/volfs"
)

// sourceHelp says in a command's help what its arguments can be.
var sourceHelp = "SOURCE is one of\n" + systemsHelp() + `   PATH              a folder, file or device, recognised by what lies there
A Docker root or store can be another machine's: links in it lead nowhere out of it.
If it is in a var/lib, as /mnt/var/lib/docker is, they lead nowhere out of the system
at /mnt.
VOLUME is a volume's name or the beginning of one, @ID for a device id, or
container:NAME, image:NAME or snapshot:NAME, which begin at their root folder.`

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
		&cli.StringFlag{Name: "pool", Usage: "read the pool `META,DATA` if the records do not say where it is"},
		&cli.StringFlag{Name: "names", Usage: "name the volumes of a bare pool by `FILE`, with lines of device_id size_in_sectors name"},
		&cli.BoolFlag{Name: "force-names", Usage: "show volumes also if their records do not belong to the pool; info marks them"},
		&cli.BoolFlag{Name: "held-root", Usage: "read the pool as of its metadata snapshot"},
		&cli.StringFlag{Name: "engine", Value: string(volume.EngineAuto), Usage: "read filesystems by `ENGINE`: auto, kernel or direct"},
		&cli.StringFlag{Name: "live", Value: string(volume.LiveAuto), Usage: "show a volume that is in use by `VIEW`: auto, bind (through its mount), snapshot, disk or skip"},
		&cli.StringFlag{Name: "journal", Value: string(volfs.JournalReplay), Usage: "treat a journal by `ACTION` in the kernel engine: replay (in memory) or skip"},
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

// recognise opens a path as a source of the naming system that recognises it. It is an error if
// several do.
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
	var fit []meta.System
	for _, s := range systems.All() {
		found, err := s.Recognise(c.Context, path)
		if found {
			fit = append(fit, s)
		}
		refused = cmp.Or(refused, err)
		if s.Sign != "" {
			signs = append(signs, s.Sign)
		}
	}
	switch {
	case len(fit) == 1:
		return openAs(c, fit[0], path, path)
	case len(fit) > 1:
		var as []string
		for _, s := range fit {
			as = append(as, fmt.Sprintf("%s:%s (%s)", s.Name, path, s.Noun))
		}
		return nil, fmt.Errorf("%s: it can be several sources: name one of them: %s", path, list(as, "or"))
	case refused != nil:
		return nil, refused
	}
	return nil, fmt.Errorf("%s: this is no known source: %s", path, strings.Join(signs, ", "))
}

// openTimeout is the default of how long a request waits for its turn to open a volume, or for a
// suspended pool.
const openTimeout = time.Minute

// openTree opens the sources of a command that reads them and ends.
func openTree(c *cli.Context, args ...string) (*openedTree, error) {
	sources, err := openSources(c, args)
	if err != nil {
		return nil, err
	}
	return openTreeOf(c, sources...)
}

// commandGarbage is how much garbage a command that ends soon collects before it looks for it, in
// percent of what it needs.
const commandGarbage = 400

// openTreeOf is openTree of sources that are open.
func openTreeOf(c *cli.Context, sources ...meta.Source) (*openedTree, error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(commandGarbage)
	}
	return openTreeWith(c, tree.Options{MaxActive: 16, Options: volume.Options{OpenTimeout: openTimeout, Log: commandLog()}}, sources)
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
	if len(args) > 1 && c.String("pool") != "" {
		return nil, wrongUse("--pool: it is the pool of one source, but %d are given: mount them apart", len(args))
	}
	for _, arg := range args {
		s, err := openSource(c, arg)
		if err != nil {
			return nil, err
		}
		sources = append(sources, s)
	}
	return sources, nil
}

// openedTree is a tree and the lender of its devices, which is nil if it needs none.
type openedTree struct {
	*tree.Tree
	lender *lend.Lender
}

// Close closes both.
func (t *openedTree) Close() error {
	err := t.Tree.Close()
	if t.lender != nil {
		err = errors.Join(err, t.lender.Close())
	}
	return err
}

func openTreeWith(c *cli.Context, o tree.Options, sources []meta.Source) (*openedTree, error) {
	o.HeldRoot, o.ForceNames = c.Bool("held-root"), c.Bool("force-names")
	lender, err := chooseEngine(c, &o)
	if err != nil {
		return nil, err
	}
	if lender != nil {
		if err := lender.Sweep(c.Context); err != nil {
			o.Log.Warn("could not remove devices left by a killed process", "error", err)
		}
		o.Kernel = lender
	}
	t, err := tree.New(c.Context, sources, o)
	if err != nil {
		if lender != nil {
			err = errors.Join(err, lender.Close())
		}
		return nil, err
	}
	return &openedTree{t, lender}, nil
}

// chooseEngine reads --engine, --live and --journal, and opens the kernel's device-mapper if
// it may be needed and can be used. Otherwise the lender is nil.
func chooseEngine(c *cli.Context, o *tree.Options) (*lend.Lender, error) {
	o.Engine, o.Live, o.Journal = volume.Engine(c.String("engine")), volume.Live(c.String("live")), volfs.Journal(c.String("journal"))
	switch {
	case !slices.Contains([]volume.Engine{volume.EngineAuto, volume.EngineKernel, volume.EngineDirect}, o.Engine):
		return nil, wrongUse("--engine %s: auto, kernel and direct are known", o.Engine)
	case !slices.Contains([]volume.Live{volume.LiveAuto, volume.LiveBind, volume.LiveSnapshot, volume.LiveDisk, volume.LiveSkip}, o.Live):
		return nil, wrongUse("--live %s: auto, bind, snapshot, disk and skip are known", o.Live)
	case o.Journal != volfs.JournalReplay && o.Journal != volfs.JournalSkip:
		return nil, wrongUse("--journal %s: replay and skip are known", o.Journal)
	case o.Engine == volume.EngineDirect && (o.Live == volume.LiveBind || o.Live == volume.LiveSnapshot):
		return nil, wrongUse("--live %s: only the kernel engine can do that", o.Live)
	case o.Engine == volume.EngineKernel && o.HeldRoot:
		return nil, wrongUse("--held-root: the kernel shows a pool as it is now: use --engine direct")
	}
	needed := o.Engine == volume.EngineKernel || o.Live != volume.LiveAuto && o.Live != volume.LiveDisk
	if o.Engine == volume.EngineDirect && !needed {
		return nil, nil
	}
	kernel, err := thin.OpenKernel()
	if err == nil {
		return lend.New(kernel), nil
	}
	if needed {
		return nil, err
	}
	return nil, nil // the direct engine does not need it
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
		return tree.Entry{}, wrongUse("%q names no volume: it is not VOLUME or VOLUME:/PATH", arg)
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
