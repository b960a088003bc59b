package guest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"thintree/thin/dm"
)

// dmAsDmsetup compares all that is told of devices.
func dmAsDmsetup(t *testing.T, c *dm.Client) {
	pool := dmPool(t, c, "pool", 3)
	thin := dmThin(t, c, "thin", pool, 7)
	if err := dmWrite(t.Context(), c, "thin", 2, 3); err != nil {
		t.Fatal(err)
	}
	dmActivate(t, c, "linear", dm.Hidden, "0 8 error", fmt.Sprintf("8 1024 linear %s 64", dmNumber(thin.Number)), "1032 8 error")
	if err := c.Load(t.Context(), "linear", dmTable(t, "0 16 error"), true); err != nil {
		t.Fatal(err)
	}
	if err := c.Suspend(t.Context(), "linear", dm.SuspendOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pool", "thin", "linear"} {
		for command, ask := range map[string]func(context.Context, string) (dm.Info, []dm.Target, error){"table": c.Table, "status --noflush": c.Status} {
			_, targets, err := ask(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, target := range targets {
				fmt.Fprintln(&got, target)
			}
			// dmsetup puts a space behind a target even where nothing follows, or does not.
			if diff := cmp.Diff(dmTrim(sh(t, "dmsetup "+command+" "+name)), dmTrim(got.String())); diff != "" {
				t.Errorf("%s of %s, dmsetup's (-) and ours (+):\n%s", command, name, diff)
			}
		}
		info, err := c.Info(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		want := sh(t, "dmsetup info -c --noheadings --separator ' ' -o name,uuid,major,minor,open,segments,events,suspended,readonly,tables_loaded "+name)
		if got := dmInfoText(info); got != strings.TrimSpace(want) {
			t.Errorf("dmsetup info says %q, we %q", want, got)
		}
		deps, err := c.Deps(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("%d dependencies\t:", len(deps))
		for _, d := range deps {
			text += fmt.Sprintf(" (%d, %d)", unix.Major(d), unix.Minor(d))
		}
		if want := strings.TrimSpace(sh(t, "dmsetup deps "+name)); text != want {
			t.Errorf("dmsetup deps says %q, we %q", want, text)
		}
	}
	dmListAsDmsetup(t, c)
	versions, err := c.TargetVersions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, v := range versions {
		fmt.Fprintf(&got, "%-16s v%s\n", v.Type, v.Version)
	}
	if diff := cmp.Diff(sh(t, "dmsetup targets"), got.String()); diff != "" {
		t.Errorf("targets, dmsetup's (-) and ours (+):\n%s", diff)
	}
	version, err := c.Version(t.Context())
	if want := sh(t, "dmsetup version"); err != nil || !strings.Contains(want, version.String()) {
		t.Errorf("dmsetup says %q, we %v, %v", want, version, err)
	}
}

func dmTrim(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, "\n")
}

// dmInfoText is a device as dmsetup info -c shows it.
func dmInfoText(i dm.Info) string {
	suspended, readOnly, tables := "Active", "Writeable", "None"
	if i.Suspended {
		suspended = "Suspended"
	}
	if i.ReadOnly {
		readOnly = "Read-only"
	}
	switch {
	case i.Active && i.Inactive:
		tables = "Both"
	case i.Active:
		tables = "Live"
	case i.Inactive:
		tables = "Inactive"
	}
	return fmt.Sprint(i.Name, " ", i.UUID, " ", unix.Major(i.Number), " ", unix.Minor(i.Number), " ",
		i.OpenCount, " ", i.Targets, " ", i.EventNr, " ", suspended, " ", readOnly, " ", tables)
}

func dmListAsDmsetup(t *testing.T, c *dm.Client) {
	t.Helper()
	list, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range list {
		got = append(got, fmt.Sprintf("%s\t(%s)", l.Name, dmNumber(l.Number)))
	}
	want := strings.Split(strings.TrimSpace(sh(t, "dmsetup ls --manglename none")), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the list, dmsetup's (-) and ours (+):\n%s", diff)
	}
}

func dmMany(t *testing.T, c *dm.Client) {
	const devices = 300
	for i := range devices {
		name := fmt.Sprintf("device-with-a-name-that-is-not-short-at-all-%03d", i)
		if i%10 == 0 {
			dmActivate(t, c, name, dm.Hidden, "0 8 error")
			continue
		}
		if _, err := c.Create(t.Context(), name, ""); err != nil { // which is faster
			t.Fatal(err)
		}
		defer func() {
			if _, err := c.Remove(t.Context(), name, false, dm.Hidden); err != nil {
				t.Error(err)
			}
		}()
	}
	dmListAsDmsetup(t, c)
}

func dmLongTable(t *testing.T, c *dm.Client) {
	device := loop(t, filepath.Join(t.TempDir(), "file"), 16*mib)
	t.Cleanup(func() { sh(t, "losetup -d "+device) })
	var table []string
	for i := range 3000 {
		table = append(table, fmt.Sprintf("%d 8 linear %s %d", 8*i, device, 8*i))
	}
	dmActivate(t, c, "long", dm.Hidden, table...)
	_, targets, err := c.Table(t.Context(), "long")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, target := range targets {
		fmt.Fprintln(&got, target)
	}
	if diff := cmp.Diff(dmTrim(sh(t, "dmsetup table long")), dmTrim(got.String())); diff != "" {
		t.Errorf("dmsetup's (-) and ours (+):\n%s", diff)
	}
}

func dmOddNames(t *testing.T, c *dm.Client) {
	names := []string{"a b", "a%b", `a\x20c`, "ä", "*", "..", strings.Repeat("x", dm.MaxNameBytes)}
	for _, name := range names[:len(names)-1] {
		var bad *dm.NameError
		if _, err := c.Create(t.Context(), name, ""); !errors.As(err, &bad) {
			t.Errorf("%q: error %v", name, err)
		}
	}
	for _, name := range names {
		if name == ".." {
			continue // dmsetup refuses it, too
		}
		sh(t, fmt.Sprintf("dmsetup create --manglename none '%s' --table '0 8 error'", name))
	}
	dmListAsDmsetup(t, c)
	list, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range list {
		if info, err := c.Info(t.Context(), l.Name); err != nil || info.Name != l.Name || info.Number != l.Number {
			t.Errorf("%q: %+v, %v", l.Name, info, err)
		}
		if err := c.Deactivate(t.Context(), l.Name, dm.Public); err != nil {
			t.Errorf("%q: %v", l.Name, err)
		}
		if left := sh(t, "ls -A /dev/mapper"); strings.TrimSpace(left) != "control" && len(list) == 1 {
			t.Errorf("left in /dev/mapper: %q", left)
		}
	}
	if left := strings.TrimSpace(sh(t, "ls -A /dev/mapper")); left != "control" {
		t.Errorf("left in /dev/mapper: %q", left)
	}
}
