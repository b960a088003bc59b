package lvm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"thintree/meta"
	"thintree/tests/loopmount"
	"thintree/thin/block"
)

// tools runs LVM's own programs on loop devices. They are told that there is no device-mapper, so that
// they only write metadata.
type tools struct {
	t     *testing.T
	disks []string
	group string
	args  []string
}

func newTools(t *testing.T, disks int, bytes int64) *tools {
	t.Helper()
	for _, program := range []string{"pvcreate", "vgcreate", "lvcreate", "lvs", "vgcfgrestore"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s", program)
		}
	}
	dir := t.TempDir()
	l := &tools{t: t, group: fmt.Sprintf("tree-%s-%d", strings.ToLower(t.Name()[4:8]), os.Getpid())}
	var filter []string
	for n := range disks {
		path := filepath.Join(dir, fmt.Sprint("disk", n))
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, bytes); err != nil {
			t.Fatal(err)
		}
		device := loopmount.Attach(t, path, false).Path()
		l.disks = append(l.disks, device)
		filter = append(filter, fmt.Sprintf(`"a|^%s$|"`, device))
	}
	l.args = []string{"--driverloaded", "n", "--config", fmt.Sprintf(`devices { filter = [ %s, "r|.*|" ] use_devicesfile = 0 obtain_device_list_from_udev = 0 hints = "none" }
activation { udev_sync = 0 udev_rules = 0 monitoring = 0 } global { use_lvmlockd = 0 locking_dir = "%s" event_activation = 0 } backup { backup = 0 archive = 0 }`,
		strings.Join(filter, ", "), dir)}
	l.run("pvcreate", slices.Concat([]string{"-y"}, l.disks)...)
	l.run("vgcreate", slices.Concat([]string{"-s", "1M", l.group}, l.disks)...)
	return l
}

func (l *tools) run(program string, args ...string) string {
	l.t.Helper()
	cmd := exec.Command(program, append(args, l.args...)...)
	cmd.Env = append(os.Environ(), "LVM_SUPPRESS_FD_WARNINGS=1", "LC_ALL=C")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		l.t.Fatalf("%s %q: %v\n%s", program, args, err, stderr.String())
	}
	return string(out)
}

func (l *tools) create(args ...string) {
	l.t.Helper()
	l.run("lvcreate", append([]string{"-an", "-Zn", "-Wn", "-y"}, append(args, l.group)...)...)
}

// shown is what lvs says of the group's visible volumes.
func (l *tools) shown() map[string]meta.Volume {
	l.t.Helper()
	all := make(map[string]meta.Volume)
	pieces := make(map[string][]block.Piece)
	out := l.run("lvs", "--noheadings", "--separator", "|", "--units", "b", "--nosuffix", "--sort", "lv_name,seg_start",
		"-o", "lv_name,segtype,lv_size,lv_uuid,lv_tags,seg_pe_ranges", l.group)
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSpace(line), "|")
		v := meta.Volume{Name: l.group + "/" + f[0], Kind: f[1], UUID: f[3]}
		fmt.Sscan(f[2], &v.SizeBytes)
		if f[4] != "" {
			v.Tags = strings.Split(f[4], ",")
		}
		if old, ok := all[v.Name]; ok {
			v = old
		}
		all[v.Name] = v
		var areas []block.Piece
		for _, r := range strings.Fields(f[5]) {
			path, extents, _ := strings.Cut(r, ":")
			var first, last int64
			if _, err := fmt.Sscanf(extents, "%d-%d", &first, &last); err == nil {
				areas = append(areas, block.Piece{In: block.At(path), Offset: mib + first*mib, Length: (last - first + 1) * mib})
			}
		}
		switch {
		case len(areas) == 1:
			pieces[v.Name] = appendPiece(pieces[v.Name], areas[0])
		case len(areas) > 1:
			at := striped(l.t, 64<<10, areas...)
			pieces[v.Name] = append(pieces[v.Name], block.Piece{In: at, Length: areas[0].Length * int64(len(areas))})
		}
	}
	for name, list := range pieces {
		v := all[name]
		v.Plain = linearAt(l.t, list...)
		all[name] = v
	}
	return all
}

// pare leaves what lvs shows too.
func pare(volumes []meta.Volume) map[string]meta.Volume {
	all := make(map[string]meta.Volume)
	for _, v := range volumes {
		all[v.Name] = meta.Volume{Name: v.Name, Kind: v.Kind, UUID: v.UUID, SizeBytes: v.SizeBytes, Tags: v.Tags, Plain: v.Plain}
	}
	return all
}

func TestVolumesAreThoseThatLVMShows(t *testing.T) {
	t.Parallel()
	l := newTools(t, 3, 100*mib)
	l.create("-L", "10M", "-n", "linear")
	l.create("-L", "12M", "-i", "2", "-I", "64k", "-n", "striped")
	l.create("-L", "4M", "-n", "between", "--addtag", "one", "--addtag", "two")
	l.run("lvextend", "-L", "30M", l.group+"/striped")
	l.run("lvextend", "-L", "150M", l.group+"/linear")
	l.create("--type", "error", "-L", "4M", "-n", "error")
	l.create("--type", "zero", "-L", "4M", "-n", "zero")
	s := New(l.disks...)
	c, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := pare(c.Volumes)
	if diff := cmp.Diff(l.shown(), got); diff != "" || len(c.Warnings) > 0 {
		t.Error(diff, c.Warnings)
	}

	before := stamp(t, s)
	l.run("lvremove", "-y", l.group+"/between")
	if stamp(t, s) == before {
		t.Error("the stamp is the same after lvremove")
	}
}

func TestGroupOfThisHostIsFoundByNameAndID(t *testing.T) {
	t.Parallel()
	l := newTools(t, 2, 64*mib)
	l.create("-L", "100M", "-n", "both")
	id := strings.TrimSpace(l.run("vgs", "--noheadings", "-o", "vg_uuid", l.group))
	want, err := New(l.disks...).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{l.group, id} {
		s := NewGroup(name)
		c, err := s.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, c); diff != "" {
			t.Error(name, diff)
		}
		disks := slices.Sorted(slices.Values(l.disks))
		if diff := cmp.Diff(disks, s.Places()); diff != "" {
			t.Error(name, diff)
		}
	}
	s := NewGroup(l.group)
	if _, err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.create("-L", "4M", "-n", "another")
	c, err := s.Load(t.Context())
	if err != nil || len(c.Volumes) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	group := s.(*source)
	group.last.paths = []string{filepath.Join(t.TempDir(), "gone")} // as if the disks were at other paths now
	before := stamp(t, NewGroup(l.group))
	if stamp(t, s) == before {
		t.Error("the stamp is the same without the disks")
	}
	if _, err := s.Load(t.Context()); err != nil || len(s.Places()) != 2 {
		t.Error(err, s.Places())
	}
	if _, err := NewGroup(l.group + "-x").Load(t.Context()); err == nil || !strings.Contains(err.Error(), "no volume group") {
		t.Error(err)
	}
}

// LVM itself reads a text with volumes of all kinds, as other tests make it up, and writes it in its
// own words.
func TestTextsOfOtherTestsAreThoseOfLVM(t *testing.T) {
	t.Parallel()
	l := newTools(t, 2, 128*mib)
	var ids []string
	for line := range strings.Lines(l.run("pvs", "--noheadings", "-o", "pv_uuid", "--sort", "pv_name")) {
		ids = append(ids, strings.TrimSpace(line))
	}
	gid := strings.TrimSpace(l.run("vgs", "--noheadings", "-o", "vg_uuid", l.group))
	n := 0
	unique := func(text string) string { // volumes with ids of their own
		for strings.Contains(text, lvID) {
			n++
			text = strings.Replace(text, lvID, fmt.Sprintf("aaaaaa-bbbb-cccc-dddd-eeee-ffff-%06d", n), 1)
		}
		return text
	}
	text := group(7, 2, poolVolumes, hidden("pool_tmeta", linear(0, 1, "pv1", 0)), hidden("pool_tdata", linear(0, 4, "pv1", 1)),
		thin("a", 1, ""), thin("snap", 2, `origin = "a"`), thin("out", 4, `external_origin = "thick"`), thin("new", 6, ""),
		lvWith("thick", `"READ", "VISIBLE"`, linear(0, 2, "pv2", 10)),
		lv("root", linear(0, 2, "pv1", 6)), hidden("cow", linear(0, 1, "pv1", 5)),
		lv("snapshot0", segment(2, "snapshot", `chunk_size = 8 origin = "root" cow_store = "cow"`)),
		lv("r", segment(3, "raid1", `device_count = 2 region_size = 1024 raids = ["r_rmeta_0", "r_rimage_0", "r_rmeta_1", "r_rimage_1"]`)),
		hidden("r_rmeta_0", linear(0, 1, "pv1", 10)), hidden("r_rimage_0", linear(0, 3, "pv1", 11)),
		hidden("r_rmeta_1", linear(0, 1, "pv2", 20)), lvWith("r_rimage_1", `"READ", "WRITE", "WRITEMOSTLY"`, linear(0, 3, "pv2", 21)),
		lv("z", segment(2, "raid0", `stripe_count = 2 stripe_size = 128 raid0_lvs = [ "z_rimage_0", "z_rimage_1" ]`)),
		hidden("z_rimage_0", linear(0, 1, "pv1", 20)), hidden("z_rimage_1", linear(0, 1, "pv2", 24)),
	)
	text = strings.NewReplacer("vg {", l.group+" {", dashed("vg"+strings.Repeat("0", 30)), gid, dashed(pvID(1)), ids[0], dashed(pvID(2)), ids[1],
		"pe_count = 50", "pe_count = 31", fmt.Sprint("dev_size = ", 64*extentSectors), fmt.Sprint("dev_size = ", 128*mib/512),
		"pv1", "pv0", "pv2", "pv1").Replace(unique(text))
	file := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := ParseGroup([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	l.run("vgcfgrestore", "--force", "--yes", "-f", file, l.group)
	disks, _, err := scanAll(t.Context(), openUntilEnd(t, l.disks))
	if err != nil {
		t.Fatal(err)
	}
	groups, _, err := readGroups(t.Context(), disks)
	if err != nil || len(groups) != 1 {
		t.Fatal(groups, err)
	}
	after := groups[0].group
	byName := func(a, b LogicalVolume) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(before.LogicalVolumes, byName)
	slices.SortFunc(after.LogicalVolumes, byName)
	if diff := cmp.Diff(before.LogicalVolumes, after.LogicalVolumes); diff != "" {
		t.Error(diff)
	}
}

// openUntilEnd opens devices until the test ends.
func openUntilEnd(t *testing.T, paths []string) []Device {
	t.Helper()
	devices, failed, closeAll, err := openAll(t.Context(), paths)
	t.Cleanup(closeAll)
	if err != nil || len(failed) > 0 {
		t.Fatal(err, failed)
	}
	return devices
}
