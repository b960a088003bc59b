package docker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"thintree/meta"
	"thintree/tests/pools"
)

// loadDetails loads a root with one container whose record has further fields.
func loadDetails(t *testing.T, fields string, warnings int) meta.Container {
	t.Helper()
	r := newRoot(t)
	_, chains := r.layers("one")
	id := r.container("c", "/c", chains[0])
	r.write(fmt.Sprintf(`{"ID":%q,"Name":"/c","Driver":"devicemapper",%s}`, id, fields), containersDir, id, configFile)
	cat := r.load(warnings)
	if len(cat.Containers) != 1 || cat.Containers[0].ID != id {
		t.Fatalf("%+v", cat.Containers)
	}
	return cat.Containers[0]
}

func TestStatusIsDockersWord(t *testing.T) {
	t.Parallel()
	const begun = `"StartedAt":"2020-01-02T03:04:05Z"`
	for fields, want := range map[string]string{
		`"x":1`:        "",
		`"State":null`: "",
		`"State":{}`:   "created",
		`"State":{"StartedAt":"0001-01-01T00:00:00Z"}`:     "created",
		`"State":{` + begun + `}`:                          "exited (0)",
		`"State":{` + begun + `,"ExitCode":137}`:           "exited (137)",
		`"State":{"Running":true,"Pid":7,` + begun + `}`:   "running",
		`"State":{"Running":true,"Paused":true}`:           "paused",
		`"State":{"Running":true,"Restarting":true}`:       "restarting",
		`"State":{"Restarting":true,` + begun + `}`:        "exited (0)",
		`"State":{"RemovalInProgress":true,"Dead":true}`:   "removing",
		`"State":{"Dead":true,` + begun + `,"ExitCode":1}`: "dead",
	} {
		if got := loadDetails(t, fields, 0).Status; got != want {
			t.Errorf("%s: %q instead of %q", fields, got, want)
		}
	}
}

func TestDetailsOfAContainer(t *testing.T) {
	t.Parallel()
	got := loadDetails(t, `"Image":"sha256:12","Created":"2020-01-01T00:00:00.5+01:00","Path":"/bin/sh","Args":["-c","a b",""],
		"State":{"StartedAt":"2020-01-01T00:00:01Z","FinishedAt":"2020-01-01T00:00:02Z"},"Config":{"Labels":{"k":"v","":""}},
		"MountPoints":{
			"/v":{"Type":"volume","Name":"data","Source":"/var/lib/docker/volumes/data/_data","Destination":"/v","Driver":"local","RW":true},
			"/b":{"Type":"bind","Source":"/srv","Destination":"/b","RW":false},
			"/t":{"Type":"tmpfs","Destination":"/t","RW":true},
			"/old":{"Source":"/srv","Destination":"/old","RW":true,"Name":""},
			"/oldv":{"Source":"/x/_data","Name":"n","Driver":"local","RW":true},
			"/null":null}`, 0)
	want := meta.Container{
		ID: hexID("c"), Name: "c", Volume: hexID("c mount"), Image: "sha256:12", Status: "exited (0)",
		Command: []string{"/bin/sh", "-c", "a b", ""}, Labels: map[string]string{"k": "v", "": ""},
		Mounts: []meta.Mount{
			{Type: "bind", Source: "/srv", Destination: "/b", ReadOnly: true},
			{Type: "bind", Destination: "/null", ReadOnly: true},
			{Type: "bind", Source: "/srv", Destination: "/old"},
			{Type: "volume", Source: "n", Destination: "/oldv"},
			{Type: "tmpfs", Destination: "/t"},
			{Type: "volume", Source: "data", Destination: "/v"},
		},
		Created: time.Date(2019, 12, 31, 23, 0, 0, 5e8, time.UTC), Started: time.Date(2020, 1, 1, 0, 0, 1, 0, time.UTC), Finished: time.Date(2020, 1, 1, 0, 0, 2, 0, time.UTC),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMountsBeforeDocker17(t *testing.T) {
	t.Parallel()
	id := hexID("volume")
	got := loadDetails(t, `"Volumes":{"/b":"/srv","/v":"/var/lib/docker/vfs/dir/`+id+`"},"VolumesRW":{"/v":true}`, 0).Mounts
	want := []meta.Mount{{Type: "bind", Source: "/srv", Destination: "/b", ReadOnly: true}, {Type: "volume", Source: id, Destination: "/v"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDetailsThatAreTooLongAreDropped(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxDetails)
	for name, fields := range map[string]string{
		"a command": `"Path":"` + long + `"`, "arguments": `"Path":"a","Args":["` + long + `"]`,
		"many arguments": `"Path":"a","Args":["` + strings.Repeat(`","`, maxDetails/perText) + `"]`,
		"a label":        `"Config":{"Labels":{"k":"` + long + `"}}`, "a mount": `"MountPoints":{"/` + long + `":{}}`,
	} {
		if c := loadDetails(t, fields, 1); c.Name != "c" || c.Command != nil || c.Labels != nil || c.Mounts != nil {
			t.Errorf("%s: %.200v", name, c)
		}
	}
	r := newRoot(t)
	id, top := r.image("i", "one")
	text := fmt.Sprintf(`{"rootfs":{"diff_ids":[%q]},"config":{"Labels":{"k":%q}}}`, top, long)
	r.write(text, imagesDir, id)
	r.names(map[string]string{"a:1": id})
	if i := r.load(1).Images; len(i) != 1 || i[0].Labels != nil || i[0].Names == nil {
		t.Errorf("%.200v", i)
	}
}

func TestDetailsOfRealRecords(t *testing.T) {
	t.Parallel()
	cat, err := New(pools.Docker(t), Options{}).Load(t.Context())
	if err != nil || len(cat.Warnings) > 0 {
		t.Fatal(err, cat.Warnings)
	}
	status := make(map[string]string)
	for _, c := range cat.Containers {
		status[c.Name] = c.Status
		if c.Name != "ran" {
			continue
		}
		if c.Created.UnixMilli() != 1795475422356 || c.Started.UnixMilli() != 1795475427728 || c.Finished.UnixMilli() != 1795475427795 {
			t.Error(c.Created, c.Started, c.Finished)
		}
		if diff := cmp.Diff(map[string]string{"purpose": "fixture"}, c.Labels); diff != "" || len(c.Command) != 3 || c.Command[0] != "/bin/sh" || len(c.Mounts) > 0 {
			t.Error(diff, c)
		}
	}
	if diff := cmp.Diff(map[string]string{"ran": "exited (0)", "stopped-web": "created", "yy1": "created"}, status); diff != "" {
		t.Error(diff)
	}
	labels := make(map[string]map[string]string)
	for _, i := range cat.Images {
		labels[strings.Join(i.Names, " ")] = i.Labels
		if i.Created.Year() != 2026 {
			t.Error(i.Created)
		}
	}
	if got := labels["web:2"]["purpose"]; got != "fixture" {
		t.Errorf("%v", labels)
	}
}
