package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"thintree/fusefs/tree"
	"thintree/volfs"
)

func lsCommand() *cli.Command {
	return &cli.Command{
		Name:      "ls",
		Usage:     "list a source's volumes, or a folder in one",
		ArgsUsage: "SOURCE [VOLUME[:/PATH]]",
		Description: `On a terminal, a source's volumes are listed in a table: the names by which people know
them, a short id that can be typed as VOLUME, sizes and a state. Otherwise only their
full names are listed, one a line, and the volumes themselves are not read.

` + sourceHelp,
		CustomHelpTemplate: exits{
			done:    "everything was listed",
			partial: "listed, but something in the source could not be read: standard error says what",
		}.after(commandHelp),
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "long", Aliases: []string{"l"}, Usage: "show more of each volume or file"},
			jsonFlag(),
		}, sourceFlags()...),
		BashComplete: completeVolumes,
		Action: func(c *cli.Context) error {
			if c.NArg() < 1 || c.NArg() > 2 {
				return wrongUse("ls takes a SOURCE and optionally VOLUME or VOLUME:/PATH: thintree ls docker:/var/lib/docker container:web:/etc")
			}
			t, err := openTree(c, c.Args().First())
			if err != nil {
				return err
			}
			defer t.Close()
			if c.NArg() == 1 {
				partial, err := listVolumes(c, t.Tree)
				if err != nil {
					return err
				}
				if warn(t.Tree) || partial {
					return errPartial
				}
				return nil
			}
			return listFolder(c, t.Tree, c.Args().Get(1))
		},
	}
}

// listVolumes lists all volumes. Deleted ones are listed by --long and --json only.
// partial reports whether one of them has a problem.
func listVolumes(c *cli.Context, t *tree.Tree) (partial bool, err error) {
	refs := t.Volumes(c.Context)
	if !c.Bool("long") && !c.Bool("json") {
		refs = slices.DeleteFunc(refs, func(r tree.VolumeRef) bool { return r.Deleted })
		if !stdout.isTerminal() {
			names := make([]string, len(refs))
			for i, r := range refs {
				names[i] = r.Name
			}
			return false, printNames(names)
		}
	}
	list := make([]tree.VolumeInfo, 0, len(refs))
	for _, r := range refs {
		v, err := t.Volume(c.Context, r.ID)
		if errors.Is(err, syscall.ESTALE) { // its name was given to another volume since it was listed
			v, err = volumeNow(c.Context, t, r.Name)
		}
		if errors.Is(err, syscall.ENOENT) {
			continue // it was deleted since
		}
		if err != nil {
			return false, err
		}
		list = append(list, v)
		if v.Damaged {
			partial = true
		}
	}
	switch {
	case c.Bool("json"):
		return partial, printJSON(list)
	case c.Bool("long"):
		err = printVolumeTable(list)
	default:
		err = printOverview(list, stdout.columns())
	}
	if err != nil {
		return false, err
	}
	for _, v := range list {
		if v.Damaged {
			fmt.Fprintln(os.Stderr, "thintree:", oneLine(v.Name+": "+v.Problem))
		}
	}
	return partial, nil
}

// volumeNow describes the volume that has a name now.
func volumeNow(ctx context.Context, t *tree.Tree, name string) (tree.VolumeInfo, error) {
	e, err := t.Find(ctx, name)
	if err != nil {
		return tree.VolumeInfo{}, err
	}
	return t.Volume(ctx, e.ID)
}

// usersOf lists the containers and images that a volume belongs to, as a user types them.
func usersOf(v tree.VolumeInfo) (users []string) {
	for _, name := range v.Containers {
		users = append(users, "container:"+printable(name))
	}
	for _, name := range v.Images {
		users = append(users, "image:"+printable(name))
	}
	return users
}

// holdsOf describes in a few words what is on a volume.
func holdsOf(v tree.VolumeInfo) string {
	if v.Filesystem != nil {
		return v.Filesystem.Type
	}
	return v.Holds
}

// shortDigits is how many digits of a hash docker shows.
const shortDigits = 12

// shorten cuts a name that begins with a hash to the digits that docker shows, and keeps
// what follows the hash. Other names stay.
func shorten(name string) string {
	hash, suffix, _ := strings.Cut(name, "-")
	if !isHash(hash) {
		return name
	}
	if suffix != "" {
		suffix = "-" + suffix
	}
	return hash[:shortDigits] + suffix
}

// isHash reports whether a name is a SHA-256 in hexadecimal digits.
func isHash(name string) bool {
	return len(name) == 64 && strings.Trim(name, "0123456789abcdef") == ""
}

// printable is a name as it is printed: in quotes if it would move a terminal's cursor or the
// text beside it.
func printable(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return r == '\uFFFD' || !strconv.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return name
}

// file is an entry of a folder, as --json prints it.
type file struct {
	Name        string    `json:"name"`
	Type        string    `json:"type"`
	Mode        string    `json:"mode"`
	Links       uint32    `json:"links"`
	UID         uint32    `json:"uid"`
	GID         uint32    `json:"gid"`
	SizeBytes   int64     `json:"size_bytes"`
	Device      string    `json:"device,omitempty"`
	Modified    time.Time `json:"modified"`
	InodeNumber uint64    `json:"inode"`
	DiskInode   volfs.Ino `json:"disk_inode,omitempty"`
	Target      string    `json:"target,omitempty"`
}

func listFolder(c *cli.Context, t *tree.Tree, arg string) error {
	ctx := c.Context
	e, err := find(ctx, t, arg, true)
	if err != nil {
		return err
	}
	plain := !c.Bool("long") && !c.Bool("json")
	var list []file
	partial := false
	show := func(name string, id tree.NodeID) {
		f := file{Name: name}
		if !plain {
			var err error
			if f, err = describe(ctx, t, name, id); err != nil {
				fmt.Fprintln(os.Stderr, "thintree:", oneLine(fmt.Sprintf("%s: %s: %v", arg, name, err)))
				partial = true
				return
			}
		}
		list = append(list, f)
	}
	if e.Attr.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		_, path := splitPath(arg)
		show(path, e.ID)
	} else {
		names, err := folderNames(ctx, t, e.ID)
		if err != nil {
			if len(names) == 0 {
				return fmt.Errorf("%s: %w", arg, err)
			}
			fmt.Fprintln(os.Stderr, "thintree:", oneLine(fmt.Sprintf("%s: %v", arg, err)))
			partial = true
		}
		slices.Sort(names)
		for _, name := range names {
			if plain {
				show(name, 0)
				continue
			}
			full, err := t.Lookup(ctx, e.ID, name)
			if err != nil {
				fmt.Fprintln(os.Stderr, "thintree:", oneLine(fmt.Sprintf("%s: %s: %v", arg, name, err)))
				partial = true
				continue
			}
			show(name, full.ID)
		}
	}
	if err := printFiles(c, list, plain); err != nil {
		return err
	}
	if partial {
		return errPartial
	}
	return nil
}

// folderNames are the names in a folder. With an error there may be more.
func folderNames(ctx context.Context, t *tree.Tree, id tree.NodeID) (names []string, err error) {
	d, err := t.OpenDir(ctx, id, 0)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	err = d.ReadDir(ctx, 0, false, func(e tree.DirEntry) bool {
		if e.Name != "." && e.Name != ".." {
			names = append(names, e.Name)
		}
		return true
	})
	return names, err
}

func describe(ctx context.Context, t *tree.Tree, name string, id tree.NodeID) (file, error) {
	e, err := t.Stat(ctx, id)
	if err != nil {
		return file{}, err
	}
	a := e.Attr
	f := file{
		Name: name, Type: typeNames[a.Mode&syscall.S_IFMT], Mode: fmt.Sprintf("%04o", a.Mode&0o7777),
		Links: a.Nlink, UID: a.UID, GID: a.GID, SizeBytes: a.Size,
		Modified: time.Unix(a.Mtime.Sec, int64(a.Mtime.Nsec)).UTC(), InodeNumber: uint64(a.Ino), DiskInode: e.DiskIno,
	}
	switch a.Mode & syscall.S_IFMT {
	case syscall.S_IFLNK:
		f.Target, err = t.Readlink(ctx, id)
	case syscall.S_IFBLK, syscall.S_IFCHR:
		f.Device = fmt.Sprintf("%d, %d", unix.Major(a.Rdev), unix.Minor(a.Rdev))
	}
	return f, err
}

func printFiles(c *cli.Context, list []file, plain bool) error {
	switch {
	case c.Bool("json"):
		if list == nil {
			list = []file{}
		}
		return printJSON(list)
	case plain:
		names := make([]string, len(list))
		for i, f := range list {
			names[i] = f.Name
		}
		return printNames(names)
	}
	w := tabwriter.NewWriter(stdout, 0, 8, 1, ' ', 0)
	for _, f := range list {
		size := fmt.Sprint(f.SizeBytes)
		if f.Device != "" {
			size = f.Device
		}
		name := printable(f.Name)
		if f.Target != "" {
			name += " -> " + printable(f.Target)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\t%s\t%s\n", modeString(f), f.Links, f.UID, f.GID, size, f.Modified.Format("2006-01-02 15:04:05"), name)
	}
	return w.Flush()
}

func printNames(names []string) error {
	w := bufio.NewWriter(stdout)
	for _, name := range names {
		fmt.Fprintln(w, printable(name))
	}
	return w.Flush()
}

var typeNames = map[uint32]string{
	syscall.S_IFREG: "file", syscall.S_IFDIR: "folder", syscall.S_IFLNK: "link", syscall.S_IFIFO: "fifo",
	syscall.S_IFSOCK: "socket", syscall.S_IFCHR: "character device", syscall.S_IFBLK: "block device",
}

// modeString is a type and mode as ls -l prints them.
func modeString(f file) string {
	var bits uint32
	fmt.Sscanf(f.Mode, "%o", &bits)
	letters := map[string]string{"folder": "d", "link": "l", "fifo": "p", "socket": "s", "character device": "c", "block device": "b"}
	out := []byte("-" + fs.FileMode(bits & 0o777).String()[1:])
	if l := letters[f.Type]; l != "" {
		out[0] = l[0]
	}
	for _, s := range []struct {
		bit      uint32
		at       int
		yes, not byte
	}{{0o4000, 3, 's', 'S'}, {0o2000, 6, 's', 'S'}, {0o1000, 9, 't', 'T'}} {
		if bits&s.bit == 0 {
			continue
		}
		if out[s.at] == 'x' {
			out[s.at] = s.yes
		} else {
			out[s.at] = s.not
		}
	}
	return string(out)
}
