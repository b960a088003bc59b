package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"thintree/fusefs/tree"
	"thintree/meta"
	"thintree/meta/lvm"
)

// groupText is a text of an LVM volume group, the current one or a former one, as --json prints it.
type groupText struct {
	Group       string    `json:"group"`
	UUID        string    `json:"uuid"`
	SeqNo       uint32    `json:"seqno"`
	Created     time.Time `json:"created,omitzero"`
	Description string    `json:"description,omitempty"`
	Current     bool      `json:"current"`
	// File is the file that it is in, "" if it is in the metadata area of a disk.
	File string `json:"file,omitempty"`
}

func groupTextOf(g lvm.Generation, file string) groupText {
	return groupText{g.Group, g.ID, g.SeqNo, g.CreationTime.UTC(), g.Description, g.Current, file}
}

// groupTexts lists the texts in the metadata areas of a source, none if it has no such areas.
func groupTexts(ctx context.Context, s meta.Source) (list []groupText, err error) {
	h, ok := s.(lvm.Historian)
	if !ok {
		return nil, nil
	}
	generations, err := h.Generations(ctx)
	for _, g := range generations {
		list = append(list, groupTextOf(g, ""))
	}
	return list, err
}

// The folders in which a host keeps copies of the texts of its groups, and the length of the longest
// copy that is read, in bytes.
var backupFolders = []string{"/etc/lvm/backup", "/etc/lvm/archive"}

const maxBackup = 16 << 20

// groupBackups lists the texts that the host whose files are in a volume has kept. They are none if the
// volume has no such files.
func groupBackups(ctx context.Context, t *tree.Tree, volume tree.NodeID) (list []groupText, err error) {
	var errs []error
	for _, folder := range backupFolders {
		e, err := t.Walk(ctx, volume, folder, true)
		if err != nil {
			if !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, syscall.EMEDIUMTYPE) {
				errs = append(errs, err)
			}
			continue
		}
		names, err := folderNames(ctx, t, e.ID)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", folder, err))
		}
		slices.Sort(names)
		for _, name := range names {
			path := folder + "/" + name
			text, err := readText(ctx, t, volume, path)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", path, err))
				continue
			}
			if g, err := lvm.ParseGeneration(text); err == nil { // other files may lie there too
				list = append(list, groupTextOf(g, path))
			}
		}
	}
	slices.SortStableFunc(list, func(a, b groupText) int { return int(b.SeqNo) - int(a.SeqNo) })
	return list, errors.Join(errs...)
}

// readText reads a file of a volume.
func readText(ctx context.Context, t *tree.Tree, volume tree.NodeID, path string) ([]byte, error) {
	e, err := t.Walk(ctx, volume, path, true)
	if err != nil {
		return nil, err
	}
	if e.Attr.Mode&syscall.S_IFMT != syscall.S_IFREG || e.Attr.Size > maxBackup {
		return nil, errors.New("not a text of a volume group")
	}
	f, err := t.Open(ctx, e.ID)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text := make([]byte, e.Attr.Size)
	n, err := f.ReadAt(ctx, text, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return text[:n], err
}

// printGroupTexts prints texts as a table.
func printGroupTexts(list []groupText) {
	if len(list) == 0 {
		return
	}
	w := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "GROUP\tSEQNO\tWRITTEN\tWHY\tWHERE")
	for _, g := range list {
		where := g.File
		if where == "" {
			where = "metadata area"
		}
		if g.Current {
			where += ", current"
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", printable(g.Group), g.SeqNo, when(g.Created), plain(brief(g.Description)), printable(where))
	}
	w.Flush()
}

// brief is a text without what follows its first 60 characters.
func brief(text string) string {
	const most = 60
	if r := []rune(strings.TrimSpace(text)); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return strings.TrimSpace(text)
}
