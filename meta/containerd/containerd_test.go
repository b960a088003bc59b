package containerd

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"thintree/meta"
	"thintree/tests/pools"
	"thintree/thin/block"
)

// The digits of the three layers' chain ids, and of the two images' targets.
const (
	chain1 = "ee353af3ae190ddf74b48c0641b942e7d42daaba333b188ff972a1bb3f643e42"
	chain2 = "c8a4176be6546f4f905f958ed4bd4abeebdba37ac67ba3463e301e337a615e28"
	chain3 = "0cb58d1b43510480aa3cbbabebc8f33512c84c3d53dafa29928d14b793cf7ea5"
	base1  = "77cb050c8deb81fcc3872d00eeefc86f22b866775e4450027f913b33dd08cfce"
	web2   = "882195585fc7966d039e07250924f1e1c13d7c4df5e480254fe8e8a03acd93aa"
)

func TestRootOfContainerdIsRead(t *testing.T) {
	t.Parallel()
	dir := pools.Containerd(t)
	root := filepath.Join(dir, "root")
	if !Recognise(root) || !Recognise(filepath.Join(root, pluginDir)) || Recognise(dir) {
		t.Error("not recognised, or too much is")
	}
	s, err := System.Open(root, meta.Options{Pool: dir + "/meta," + dir + "/data"})
	if err != nil {
		t.Fatal(err)
	}
	cat, err := s.Load(t.Context())
	if err != nil || len(cat.Warnings) > 0 {
		t.Fatal(err, cat.Warnings)
	}
	wantPools := []meta.Pool{{Name: "ctd-pool", Metadata: block.At(dir + "/meta"), Data: block.At(dir + "/data"), ByDevices: true}}
	if diff := cmp.Diff(wantPools, cat.Pools); diff != "" {
		t.Error(diff)
	}

	truth := pools.Truth(t, "containerd-ext4")
	var volumes []string
	for _, v := range cat.Volumes {
		if truth[fmt.Sprint(v.DeviceID)] == "" || v.Name != fmt.Sprintf("ctd-pool-snap-%d", v.DeviceID) || v.Pool != "ctd-pool" || v.SizeBytes != 512<<20 ||
			v.Record != filepath.Join(root, pluginDir, "ctd-pool.db") || v.Created.Year() != 2026 || v.Labels["containerd.io/snapshot/devmapper/fstype"] != "ext4" || v.Root != "" || v.State != "" {
			t.Errorf("%+v", v)
		}
		volumes = append(volumes, fmt.Sprint(v.DeviceID, " ", v.Role, " ", strings.TrimPrefix(v.Parent, "ctd-pool-snap-")))
	}
	wantVolumes := []string{"1 layer ", "2 layer 1", "3 layer 2", "4 container 3", "5 container 3", "6 layer ", "7 layer 6", "8 layer 7", "9 container 6"}
	if diff := cmp.Diff(wantVolumes, volumes); diff != "" {
		t.Error(diff)
	}

	var snapshots []string
	for _, s := range cat.Snapshots {
		snapshots = append(snapshots, strings.Join([]string{s.Name, s.Volume, s.Parent, string(s.Kind)}, " "))
	}
	wantSnapshots := []string{
		"prod/sha256:" + chain3 + " ctd-pool-snap-3 prod/sha256:" + chain2 + " committed",
		"prod/sha256:" + chain2 + " ctd-pool-snap-2 prod/sha256:" + chain1 + " committed",
		"prod/sha256:" + chain1 + " ctd-pool-snap-1  committed",
		"prod/web-a ctd-pool-snap-4 prod/sha256:" + chain3 + " active",
		"prod/web-b ctd-pool-snap-5 prod/sha256:" + chain3 + " active",
		"test/other ctd-pool-snap-9 test/sha256:" + chain1 + " active",
		"test/sha256:" + chain3 + " ctd-pool-snap-8 test/sha256:" + chain2 + " committed",
		"test/sha256:" + chain2 + " ctd-pool-snap-7 test/sha256:" + chain1 + " committed",
		"test/sha256:" + chain1 + " ctd-pool-snap-6  committed",
	}
	if diff := cmp.Diff(wantSnapshots, snapshots); diff != "" {
		t.Error(diff)
	}

	var images []string
	for _, i := range cat.Images {
		images = append(images, fmt.Sprint(i.ID, i.Names, i.Volume))
	}
	wantImages := []string{
		base1 + "[prod/docker.io/library/base:1]ctd-pool-snap-1", web2 + "[prod/docker.io/library/web:2]ctd-pool-snap-3",
		base1 + "[test/docker.io/library/base:1]ctd-pool-snap-6", web2 + "[test/docker.io/library/web:2]ctd-pool-snap-8",
	}
	if diff := cmp.Diff(wantImages, images); diff != "" {
		t.Error(diff)
	}

	var containers []string
	for _, c := range cat.Containers {
		containers = append(containers, strings.Join([]string{c.Name, c.ID, c.Volume, c.Image, c.Command[0], c.Mounts[0].Destination, c.Labels["purpose"]}, " "))
	}
	wantContainers := []string{
		"prod/web-a web-a ctd-pool-snap-4 docker.io/library/web:2 /bin/sh /proc fixture",
		"prod/web-b web-b ctd-pool-snap-5 docker.io/library/web:2 /bin/sh /proc fixture",
		"test/other other ctd-pool-snap-9 docker.io/library/base:1 /bin/sh /proc ",
	}
	if diff := cmp.Diff(wantContainers, containers); diff != "" {
		t.Error(diff)
	}
	if c := cat.Containers[0].Created; c.Year() != 2026 || c.Location() != time.UTC {
		t.Error(c)
	}
}

func TestPoolIsNamedByItsDevice(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]meta.Pool{
		"":                      {Name: "ctd-pool", Device: "ctd-pool", ByDevices: true},
		"vg-tpool":              {Name: "ctd-pool", Device: "vg-tpool", ByDevices: true},
		"/dev/mapper/vg0-tpool": {Name: "ctd-pool", Device: "vg0-tpool", ByDevices: true},
	} {
		s, err := System.Open(filepath.Join(pools.Containerd(t), "root"), meta.Options{Pool: given})
		if err != nil {
			t.Fatal(err)
		}
		cat, err := s.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]meta.Pool{want}, cat.Pools); diff != "" {
			t.Error(diff)
		}
	}
}
