package cli

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"thintree/fusefs/tree"
)

// printVolumeTable prints a line for each volume, and for each container of it. The columns about
// containers are left out if there are none.
func printVolumeTable(list []tree.VolumeInfo) error {
	w := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	header := "VOLUME\tID\tSIZE\tMAPPED\tHOLDS\tROLE\tUSED BY"
	containers := slices.ContainsFunc(list, func(v tree.VolumeInfo) bool { return len(v.ContainerRecords) > 0 })
	if containers {
		header += "\tSTATUS\tCREATED\tIMAGE\tCOMMAND\tMOUNTS"
	}
	fmt.Fprintln(w, header)
	for _, v := range list {
		holds := holdsOf(v)
		if v.Damaged {
			holds += " (problem)"
		}
		if v.Forced != "" {
			holds += " (forced)"
		}
		role := string(v.Role)
		if v.State != "" {
			role += ", " + string(v.State)
		}
		id := strings.TrimPrefix(shortName(v), "@")
		line := strings.Join([]string{printable(shorten(v.Name)), id, bytes(v.SizeBytes), bytes(v.MappedBytes), holds, role, strings.Join(usersOf(v), " ")}, "\t")
		if len(v.ContainerRecords) == 0 {
			fmt.Fprintln(w, line+strings.Repeat("\t", strings.Count(header, "\t")-strings.Count(line, "\t")))
		}
		for _, c := range v.ContainerRecords {
			fmt.Fprintln(w, line+"\t"+strings.Join(containerColumns(c), "\t"))
		}
	}
	return w.Flush()
}

// containerColumns describe a container: its status and since when, when it was made, its image, its
// command, and what is mounted in it.
func containerColumns(c tree.ContainerInfo) []string {
	since := when(c.Finished)
	if c.Started.After(c.Finished) {
		since = when(c.Started)
	}
	var mounts []string
	for _, m := range c.Mounts {
		mounts = append(mounts, m.Destination)
	}
	columns := []string{strings.TrimSpace(c.Status + " " + since), when(c.Created), shortImage(c.Image), strings.Join(c.Command, " "), strings.Join(mounts, " ")}
	for i, text := range columns {
		if columns[i] = ellipsis(plain(text), 40); columns[i] == "" {
			columns[i] = "-"
		}
	}
	return columns
}

// shortImage is an image's id as docker shows it, or its name.
func shortImage(image string) string {
	if digits, ok := strings.CutPrefix(image, "sha256:"); ok {
		return shorten(digits)
	}
	return image
}
