package cli

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"thintree/fusefs/tree"
)

// overviewRow is a line of the table that ls prints on a terminal.
type overviewRow struct {
	name  string // a printable name of the volume; "" if it has none
	id    string
	about [4]string // size, mapped, holds, state
}

var overviewHeader = overviewRow{"NAME", "ID", [4]string{"SIZE", "MAPPED", "HOLDS", "STATE"}}

// overview has a row for each name of each volume: containers, images, other names, and
// volumes without a name.
func overview(list []tree.VolumeInfo) []overviewRow {
	var rows []overviewRow
	for _, v := range list {
		row := overviewRow{
			id:    shortName(v),
			about: [4]string{bytes(v.SizeBytes), bytes(v.MappedBytes), holdsOf(v), overviewState(v)},
		}
		names := usersOf(v)
		if isHash(v.Name) {
			row.id = shorten(v.Name)
		} else if v.Name != row.id {
			names = append(names, printable(shorten(v.Name)))
		}
		if len(names) == 0 {
			names = []string{""}
		}
		for _, row.name = range names {
			rows = append(rows, row)
		}
	}
	slices.SortStableFunc(rows, func(a, b overviewRow) int {
		return cmp.Or(cmp.Compare(kindOf(a.name), kindOf(b.name)), cmp.Compare(a.name, b.name))
	})
	return rows
}

// shortName is a short name of a volume that can be typed: "@" and its device id. It is "-" if the
// volume is in no pool.
func shortName(v tree.VolumeInfo) string {
	if v.DeviceID == nil {
		return "-"
	}
	return fmt.Sprint("@", *v.DeviceID)
}

// kindOf is the position of a name's kind in the order of the table.
func kindOf(name string) int {
	switch {
	case strings.HasPrefix(name, "container:"):
		return 0
	case strings.HasPrefix(name, "image:"):
		return 1
	case name != "":
		return 2
	}
	return 3
}

// overviewState is the state of a volume in one or two words.
func overviewState(v tree.VolumeInfo) string {
	switch {
	case v.Damaged:
		return "problem"
	case v.Forced != "":
		return "forced"
	case v.State != "":
		return string(v.State)
	case v.InUseAs != "":
		return "in use"
	case v.Live:
		return "may change"
	}
	return "idle"
}

// printOverview prints the table for a terminal. width is the terminal's width in characters, 0 if
// it is not known. If the table is wider, names are cut in their middle.
func printOverview(list []tree.VolumeInfo, columns int) error {
	const gap = 2
	rows := append([]overviewRow{overviewHeader}, overview(list)...)
	var others [5]int // widths of the columns after the name
	for i, row := range rows {
		rows[i].name = cmp.Or(row.name, "-")
		for j, text := range append([]string{row.id}, row.about[:]...) {
			others[j] = max(others[j], utf8.RuneCountInString(text))
		}
	}
	room := columns
	for _, width := range others {
		room -= gap + width
	}
	if columns == 0 {
		room = math.MaxInt
	}
	w := tabwriter.NewWriter(stdout, 0, 8, gap, ' ', 0)
	for _, row := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\n", ellipsis(row.name, room), row.id, strings.Join(row.about[:], "\t"))
	}
	return w.Flush()
}

// ellipsis cuts the middle out of a text that is longer than a width in characters. It leaves
// enough to distinguish names.
func ellipsis(text string, width int) string {
	const minWidth = 16
	all := []rune(text)
	width = max(width, minWidth)
	if len(all) <= width {
		return text
	}
	end := (width - 1) / 2
	return string(all[:width-1-end]) + "…" + string(all[len(all)-end:])
}
