package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"thintree/fusefs/tree"
	"thintree/meta"
	"thintree/meta/docker"
	"thintree/meta/pool"
	"thintree/meta/store"
	"thintree/thin"
	"thintree/thin/block"
	"thintree/thin/lend"
)

const sourceHelp = `SOURCE is one of
   docker:DIR        a Docker root (/var/lib/docker) with the devicemapper driver
   store:DIR         a store of thintree's own: what a Docker root has in its
                     folder devicemapper
   pool:META,DATA    a pool's metadata and data: files or block devices
   DIR               a folder, recognised by its contents
A Docker root or store can be another machine's: links in it lead nowhere out of it.
If it is in a var/lib, as /mnt/var/lib/docker is, they lead nowhere out of the system
at /mnt.
VOLUME is a volume's name or the beginning of one, @ID for a device id, or
container:NAME or image:NAME, which begin at their root folder.`

// sourceFlags are the flags of every command that reads a source.
func sourceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "pool", Usage: "read the pool `META,DATA` if the records do not say where it is"},
		&cli.StringFlag{Name: "names", Usage: "name the volumes of a bare pool by `FILE`, with lines of device_id size_in_sectors name"},
		&cli.BoolFlag{Name: "held-root", Usage: "read the pool as of its metadata snapshot"},
		&cli.StringFlag{Name: "engine", Value: string(tree.EngineAuto), Usage: "read filesystems by `ENGINE`: auto, kernel or direct"},
		&cli.StringFlag{Name: "live", Value: string(tree.LiveAuto), Usage: "show a volume that is in use by `VIEW`: auto, bind (through its mount), snapshot, disk or skip"},
		&cli.StringFlag{Name: "journal", Value: string(tree.JournalReplay), Usage: "treat a journal by `ACTION` in the kernel engine: replay (in memory) or skip"},
	}
}

// looksLikeSource reports whether an argument can be a source. Otherwise it is a
// misspelt command.
func looksLikeSource(arg string) bool {
	return strings.ContainsAny(arg, ":/")
}

// openSource opens the source that an argument means.
func openSource(c *cli.Context, arg string) (meta.Source, error) {
	kind, where, ok := strings.Cut(arg, ":")
	if !ok || strings.Contains(kind, "/") {
		return recognise(c, arg)
	}
	switch kind {
	case "docker":
		return openDocker(c, where)
	case "store":
		return openStore(c, where)
	case "pool":
		if c.String("pool") != "" {
			return nil, wrongUse("--pool: %s names a pool already", arg)
		}
		metadata, data, err := splitPool(where)
		if err != nil {
			return nil, wrongUse("%s: %v", arg, err)
		}
		names := c.String("names")
		if names != "" {
			if names, err = filepath.Abs(names); err != nil {
				return nil, err
			}
		}
		return pool.New(metadata, data, names), nil
	}
	return nil, wrongUse("%s: no such kind of source: docker:DIR, store:DIR and pool:META,DATA are known", arg)
}

func openDocker(c *cli.Context, dir string) (meta.Source, error) {
	if c.String("names") != "" {
		return nil, wrongUse("--names: a Docker root has names of its own")
	}
	if dir == "" {
		return nil, wrongUse("docker: names no folder: docker:/var/lib/docker")
	}
	root, o, err := openRecords(c, dir)
	if err != nil {
		return nil, err
	}
	return docker.New(root, o), nil
}

func openStore(c *cli.Context, dir string) (meta.Source, error) {
	if c.String("names") != "" {
		return nil, wrongUse("--names: a store has names of its own")
	}
	if dir == "" {
		return nil, wrongUse("store: names no folder: store:/var/lib/thintree")
	}
	root, o, err := openRecords(c, dir)
	if err != nil {
		return nil, err
	}
	return store.New(root, o), nil
}

// openRecords returns the folder with the records of devices, and their pool.
func openRecords(c *cli.Context, dir string) (root string, o store.Options, err error) {
	if root, err = filepath.Abs(dir); err != nil {
		return "", o, err
	}
	if p := c.String("pool"); p != "" {
		if o.Metadata, o.Data, err = splitPool(p); err != nil {
			return "", o, wrongUse("--pool: %v", err)
		}
	}
	return root, o, nil
}

// splitPool splits META,DATA into two absolute paths.
func splitPool(arg string) (metadata, data string, err error) {
	if metadata, data, err = pool.Split(arg); err != nil {
		return "", "", err
	}
	if metadata, err = filepath.Abs(metadata); err != nil {
		return "", "", err
	}
	data, err = filepath.Abs(data)
	return metadata, data, err
}

// recognise opens the source that is at a path.
func recognise(c *cli.Context, path string) (meta.Source, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: no such file or folder: a source is docker:DIR, store:DIR, pool:META,DATA or a path", path)
	}
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		if docker.Recognise(path) {
			return openDocker(c, path)
		}
		if store.Recognise(path) {
			return openStore(c, path)
		}
		return nil, fmt.Errorf("%s: this folder is no known source: a Docker root has devicemapper/metadata in it, a store metadata/base", path)
	}
	f, err := block.Open(path, block.Options{})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := block.CheckRaw(path, f); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%s: one file is not a whole pool: name its metadata and its data: pool:META,DATA", path)
}

// openTimeout is how long a volume waits by default for its turn, or for a suspended
// pool.
const openTimeout = time.Minute

// openTree opens the sources of a command that reads one and ends.
func openTree(c *cli.Context, args ...string) (*tree.Tree, error) {
	sources, err := openSources(c, args)
	if err != nil {
		return nil, err
	}
	return openTreeWith(c, tree.Options{MaxActive: 16, OpenTimeout: openTimeout, Log: commandLog()}, sources)
}

// commandLog is the log of a command that ends: only errors, and without the time.
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

// openSources opens the sources that arguments mean.
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

// chooseEngine reads --engine, --live and --journal. It also opens the kernel's
// device-mapper, if that may be needed and can be used.
func chooseEngine(c *cli.Context, o *tree.Options) error {
	o.Engine, o.Live, o.Journal = tree.Engine(c.String("engine")), tree.Live(c.String("live")), tree.Journal(c.String("journal"))
	switch {
	case !slices.Contains([]tree.Engine{tree.EngineAuto, tree.EngineKernel, tree.EngineDirect}, o.Engine):
		return wrongUse("--engine %s: auto, kernel and direct are known", o.Engine)
	case !slices.Contains([]tree.Live{tree.LiveAuto, tree.LiveBind, tree.LiveSnapshot, tree.LiveDisk, tree.LiveSkip}, o.Live):
		return wrongUse("--live %s: auto, bind, snapshot, disk and skip are known", o.Live)
	case o.Journal != tree.JournalReplay && o.Journal != tree.JournalSkip:
		return wrongUse("--journal %s: replay and skip are known", o.Journal)
	case o.Engine == tree.EngineDirect && (o.Live == tree.LiveBind || o.Live == tree.LiveSnapshot):
		return wrongUse("--live %s: only the kernel engine can do that", o.Live)
	case o.Engine == tree.EngineKernel && o.HeldRoot:
		return wrongUse("--held-root: the kernel shows a pool as it is now: use --engine direct")
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
	return nil // the direct engine does not need it
}

// warn prints what in the sources cannot be shown, without what was told already. It
// reports whether there was anything, told or not.
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

// find finds the file or folder that an argument VOLUME[:/PATH] means.
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
