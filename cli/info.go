package cli

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"thintree/fusefs/bytejson"
	"thintree/fusefs/tree"
	"thintree/meta"
)

func infoCommand() *cli.Command {
	return &cli.Command{
		Name:               "info",
		Usage:              "show details of a source's pools, or of one volume",
		ArgsUsage:          "SOURCE [VOLUME]",
		Description:        sourceHelp,
		Flags:              append([]cli.Flag{jsonFlag()}, sourceFlags()...),
		BashComplete:       completeVolumes,
		CustomHelpTemplate: exits{done: "everything was shown", partial: "shown, but something in the source could not be read: the report or standard error says what"}.after(commandHelp),
		Action:             info,
	}
}

func jsonFlag() cli.Flag { return &cli.BoolFlag{Name: "json", Usage: "print JSON"} }

func info(c *cli.Context) error {
	if c.NArg() < 1 || c.NArg() > 2 {
		return wrongUse("info takes a SOURCE and optionally a VOLUME: thintree info docker:/var/lib/docker container:web")
	}
	source, err := openSource(c, c.Args().First())
	if err != nil {
		return err
	}
	t, err := openTreeOf(c, source)
	if err != nil {
		return err
	}
	defer t.Close()
	if c.NArg() == 1 {
		return sourceInfo(c, t.Tree, source)
	}
	e, err := t.Find(c.Context, c.Args().Get(1))
	if err != nil {
		return err
	}
	v, err := t.Volume(c.Context, e.ID)
	if err != nil {
		return err
	}
	var backups []groupText
	var lost error
	if v.Role == meta.RoleVolume && v.Filesystem != nil && !v.Damaged {
		backups, lost = groupBackups(c.Context, t.Tree, e.ID)
	}
	if c.Bool("json") {
		if err := printJSON(sourceVolume{v, backups}); err != nil {
			return err
		}
	} else {
		printVolume(v)
		printGroupTexts(backups)
	}
	if lost != nil {
		fmt.Fprintln(os.Stderr, "thintree: warning:", oneLine(v.Name+": "+lost.Error()))
	}
	if lost != nil || v.Damaged {
		return errPartial
	}
	return nil
}

// sourceVolume is a volume as --json prints it.
type sourceVolume struct {
	tree.VolumeInfo
	// GroupTexts are the texts of LVM volume groups that the host whose files are in the volume
	// has kept.
	GroupTexts []groupText `json:"group_texts,omitempty"`
}

// sourcePool is a pool as --json prints it.
type sourcePool struct {
	tree.PoolInfo
	// GroupTexts are the current and the former texts of its LVM volume group.
	GroupTexts []groupText `json:"group_texts,omitempty"`
}

// sourceInfo prints a source's pools, and warns of what else in it cannot be read.
func sourceInfo(c *cli.Context, t *tree.Tree, source meta.Source) error {
	pools := t.Pools(c.Context)
	texts, lost := groupTexts(c.Context, source)
	if c.Bool("json") {
		list := make([]sourcePool, len(pools))
		for i, p := range pools {
			list[i].PoolInfo = p
			for _, g := range texts {
				if strings.HasPrefix(p.Name, g.Group+"/") {
					list[i].GroupTexts = append(list[i].GroupTexts, g)
				}
			}
		}
		if err := printJSON(list); err != nil {
			return err
		}
	} else {
		for _, p := range pools {
			printPool(p)
		}
		if len(pools) == 0 {
			table([2]string{"source", source.String()}, [2]string{"pools", "none"}, [2]string{"volumes", fmt.Sprint(len(t.Volumes(c.Context)))})
		}
		printGroupTexts(texts)
	}
	var told []string
	for _, p := range pools {
		told = append(told, p.Problems...)
	}
	if lost != nil {
		fmt.Fprintln(os.Stderr, "thintree: warning:", oneLine(lost.Error()))
	}
	if warn(t, told...) || lost != nil {
		return errPartial
	}
	return nil
}

func printJSON(v any) error {
	text, err := bytejson.Marshal(v)
	if err != nil {
		return err
	}
	_, err = stdout.Write(text)
	return err
}

// table prints lines of a name and a value. Lines without a value are left out.
func table(lines ...[2]string) {
	w := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	for _, l := range lines {
		if l[1] != "" {
			fmt.Fprintf(w, "%s\t%s\n", l[0], plain(l[1]))
		}
	}
	w.Flush()
}

func printPool(p tree.PoolInfo) {
	mode := p.Mode
	if p.LiveBy != "" {
		mode += ", active by " + p.LiveBy
	}
	if p.NeedsCheck {
		mode += ", needs_check is set"
	}
	table(
		[2]string{"pool", p.Name},
		[2]string{"metadata", fmt.Sprintf("%s (%s of %s used)", p.Metadata, bytes(p.MetadataUsedBytes), bytes(p.MetadataTotalBytes))},
		[2]string{"data", fmt.Sprintf("%s (%s of %s used)", p.Data, bytes(p.DataUsedBytes), bytes(p.DataTotalBytes))},
		[2]string{"data block", bytes(p.DataBlockBytes)},
		[2]string{"mode", mode},
		[2]string{"transaction id", fmt.Sprint(p.TransactionID)},
		[2]string{"devices", fmt.Sprint(p.Devices)},
		[2]string{"problems", strings.Join(p.Problems, "; ")},
	)
}

func printVolume(v tree.VolumeInfo) {
	holds := v.Holds
	if f := v.Filesystem; f != nil {
		holds = fmt.Sprintf("%s of %s", f.Type, bytes(f.SizeBytes))
		if f.FreeBytes != nil {
			holds = fmt.Sprintf("%s, %s free of %s", f.Type, bytes(int64(*f.FreeBytes)), bytes(f.SizeBytes))
		}
		if f.Label != "" {
			holds += ", label " + f.Label
		}
		if f.UUID != "" {
			holds += ", UUID " + f.UUID
		}
	}
	device, size := "", bytes(v.SizeBytes)
	if v.DeviceID != nil {
		device = fmt.Sprintf("%d in pool %s", *v.DeviceID, v.Pool)
		size += fmt.Sprintf(", %s of it mapped", bytes(v.MappedBytes))
	}
	lines := [][2]string{
		{"volume", v.Name},
		{"device id", device},
		{"lies at", v.LiesAt},
		{"kind", v.Kind},
		{"role", string(v.Role)},
		{"state", string(v.State)},
		{"UUID", v.UUID},
		{"parent", v.Parent},
		{"external origin", v.ExternalOrigin},
		{"tags", strings.Join(v.Tags, " ")},
		{"labels", labels(v.Labels)},
		{"created", when(v.Created)},
		{"host", v.Host},
	}
	for _, c := range v.ContainerRecords {
		lines = append(lines, containerLines(c)...)
	}
	lines = append(lines, [][2]string{
		{"images", strings.Join(v.Images, " ")},
		{"snapshots", strings.Join(v.Snapshots, " ")},
		{"size", size},
		{"holds", holds},
		{"journal", dirty(v)},
		{"engine", fmt.Sprintf("%s (%s)", v.Engine, v.EngineWhy)},
		{"forced", v.Forced},
		{"problem", v.Problem},
	}...)
	table(lines...)
}

// containerLines describe a container.
func containerLines(c tree.ContainerInfo) [][2]string {
	lines := [][2]string{
		{"container", cmp.Or(c.Name, c.ID)},
		{"  id", c.ID},
		{"  image", c.Image},
		{"  status", c.Status},
		{"  command", strings.Join(c.Command, " ")},
		{"  labels", labels(c.Labels)},
		{"  created", when(c.Created)},
		{"  started", when(c.Started)},
		{"  finished", when(c.Finished)},
	}
	for _, m := range c.Mounts {
		text := fmt.Sprintf("%s %s on %s", m.Type, m.Source, m.Destination)
		if m.ReadOnly {
			text += ", read-only"
		}
		lines = append(lines, [2]string{"  mount", text})
	}
	return lines
}

// labels are labels as name=value.
func labels(list []tree.Label) string {
	var texts []string
	for _, l := range list {
		texts = append(texts, l.Name+"="+l.Value)
	}
	return strings.Join(texts, ", ")
}

// when is a time, "" for the zero time.
func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateTime + " MST")
}

func dirty(v tree.VolumeInfo) string {
	if v.Filesystem == nil || !v.Filesystem.Dirty {
		return ""
	}
	return "dirty: not cleanly unmounted; shown as it is on disk, without what the journal holds"
}

// bytes is a size for people: "1.0 GiB".
func bytes(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
