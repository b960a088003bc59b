package docker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"thintree/meta"
)

// oldRoot makes a root like Docker 1.9: with the base device, and no images.
func oldRoot(t testing.TB) *root {
	t.Helper()
	r := newRoot(t)
	r.remove("image")
	r.write(`{"Repositories":{}}`, oldNamesFile)
	r.write("", oldImagesDir, "_tmp", "x")
	return r
}

// oldLayer adds an image, with a device, and returns its id. fields are of its record.
func (r *root) oldLayer(name, fields string) (id string) {
	r.t.Helper()
	id = hexID(name)
	r.device(id)
	r.write(fmt.Sprintf(`{"id":%q,"created":"2015-01-02T03:04:05Z"%s}`, id, fields), oldImagesDir, id, "json")
	r.write("7", oldImagesDir, id, "layersize")
	return id
}

// oldContainer adds a container, with its devices, and returns its id.
func (r *root) oldContainer(name, image string) (id string) {
	r.t.Helper()
	id = hexID(name)
	r.device(id + "-init")
	r.device(id)
	r.write(fmt.Sprintf(`{"ID":%q,"Name":"/%s","Image":%q,"Driver":"devicemapper","Path":"sh","Args":[],"State":{"Running":true}}`, id, name, image), containersDir, id, oldConfigFile)
	return id
}

// shape is the roles and parents of a catalog's volumes.
func shape(cat *meta.Catalog) map[string]string {
	shape := make(map[string]string)
	for _, v := range cat.Volumes {
		shape[v.Name] = string(v.Role) + " " + v.Parent
	}
	return shape
}

func TestRootBeforeDocker110IsRead(t *testing.T) {
	t.Parallel()
	r := oldRoot(t)
	one := r.oldLayer("one", "")
	two := r.oldLayer("two", `,"parent":"`+one+`","config":{"Labels":{"k":"v"}}`)
	three := r.oldLayer("three", `,"parent":"wrong"`)
	r.write(one, oldImagesDir, three, "parent")
	r.write(`{"Repositories":{"local/web":{"1":"`+two+`","latest":"`+two+`","sha256:ab":"`+two+`"},"pinned":{"sha256:cd":"`+one+`"}}}`, oldNamesFile)
	web := r.oldContainer("web", two)
	cat := r.load(0)
	created := time.Date(2015, 1, 2, 3, 4, 5, 0, time.UTC)
	images := map[string]meta.Image{
		one:   {ID: one, Names: []string{"pinned@sha256:cd"}, Volume: one, Created: created},
		two:   {ID: two, Names: []string{"local/web:1", "local/web:latest"}, Volume: two, Created: created, Labels: map[string]string{"k": "v"}},
		three: {ID: three, Volume: three, Created: created},
	}
	got := make(map[string]meta.Image)
	for _, i := range cat.Images {
		got[i.ID] = i
	}
	if diff := cmp.Diff(images, got); diff != "" {
		t.Error(diff)
	}
	containers := []meta.Container{{ID: web, Name: "web", Volume: web, Image: two, Status: "running", Command: []string{"sh"}}}
	if diff := cmp.Diff(containers, cat.Containers); diff != "" {
		t.Error(diff)
	}
	want := map[string]string{
		"base": "base ", one: "layer base", two: "layer " + one, three: "layer " + one,
		web + "-init": "container-init " + two, web: "container " + web + "-init",
	}
	if diff := cmp.Diff(want, shape(cat)); diff != "" {
		t.Error(diff)
	}
}

func TestLayersOfOtherImagesAreNoImagesBeforeDocker110(t *testing.T) {
	t.Parallel()
	r := oldRoot(t)
	one := r.oldLayer("one", "")
	two := r.oldLayer("two", `,"parent_id":"sha256:`+one+`"`)
	if diff := cmp.Diff(map[string][]string{two: nil}, imageNames(r.load(0))); diff != "" {
		t.Error(diff)
	}
}

func TestDamagedRecordsBeforeDocker110AreWarnings(t *testing.T) {
	t.Parallel()
	one, two, web := hexID("one"), hexID("two"), hexID("web")
	init := web + "-init"
	whole := map[string]string{"base": "base ", one: "layer base", two: "layer " + one, init: "container-init " + two, web: "container " + init}
	for name, c := range map[string]struct {
		damage     func(r *root)
		warnings   int
		containers map[string]string // names by volume
		images     map[string][]string
		shape      map[string]string // what differs
	}{
		"nothing":       {func(*root) {}, 0, map[string]string{web: "web"}, map[string][]string{two: {"web:1"}}, nil},
		"the names":     {func(r *root) { r.write("[", oldNamesFile) }, 1, map[string]string{web: "web"}, map[string][]string{two: nil}, nil},
		"no names":      {func(r *root) { r.remove(oldNamesFile) }, 1, map[string]string{web: "web"}, map[string][]string{two: nil}, nil},
		"the config":    {func(r *root) { r.write("{", containersDir, web, oldConfigFile) }, 2, map[string]string{web: ""}, map[string][]string{two: {"web:1"}}, map[string]string{init: "container-init "}},
		"no config":     {func(r *root) { r.remove(containersDir, web, oldConfigFile) }, 2, map[string]string{web: ""}, map[string][]string{two: {"web:1"}}, map[string]string{init: "container-init "}},
		"no folder":     {func(r *root) { r.remove(containersDir, web) }, 0, map[string]string{}, map[string][]string{two: {"web:1"}}, map[string]string{init: "volume ", web: "volume "}},
		"no image":      {func(r *root) { r.remove(oldImagesDir, one) }, 1, map[string]string{web: "web"}, map[string][]string{two: {"web:1"}}, map[string]string{one: "volume ", two: "layer "}},
		"the image":     {func(r *root) { r.write(`{"id":"x"}`, oldImagesDir, two, "json") }, 2, map[string]string{web: "web"}, map[string][]string{one: nil}, map[string]string{two: "volume ", init: "container-init "}},
		"the parent":    {func(r *root) { r.write("x", oldImagesDir, two, "parent") }, 1, map[string]string{web: "web"}, map[string][]string{one: nil, two: {"web:1"}}, map[string]string{two: "layer "}},
		"a long parent": {func(r *root) { r.write(strings.Repeat("x", 5000), oldImagesDir, two, "parent") }, 1, map[string]string{web: "web"}, map[string][]string{one: nil, two: {"web:1"}}, map[string]string{two: "layer "}},
		"a loop":        {func(r *root) { r.write(two, oldImagesDir, one, "parent") }, 1, map[string]string{web: "web"}, map[string][]string{two: {"web:1"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := oldRoot(t)
			r.oldLayer("one", "")
			r.oldLayer("two", `,"parent":"`+one+`"`)
			r.oldContainer("web", two)
			r.write(`{"Repositories":{"web":{"1":"`+two+`"}}}`, oldNamesFile)
			c.damage(r)
			cat := r.load(c.warnings)
			if diff := cmp.Diff(c.containers, containerNames(cat)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.images, imageNames(cat)); diff != "" {
				t.Error(diff)
			}
			if name == "a loop" {
				return
			}
			want := make(map[string]string)
			for volume, is := range whole {
				want[volume] = is
			}
			for volume, is := range c.shape {
				want[volume] = is
			}
			if diff := cmp.Diff(want, shape(cat)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMigratedRootIsReadAsANewOne(t *testing.T) {
	t.Parallel()
	r := oldRoot(t)
	one := r.oldLayer("one", "")
	r.oldContainer("web", one)
	r.names(nil)
	cat := r.load(0)
	if len(cat.Containers) != 0 || len(cat.Images) != 0 {
		t.Error(cat.Containers, cat.Images)
	}
}

func TestStampChangesWithOldRecords(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r *root){
		"a new container": func(r *root) { r.oldContainer("new", hexID("one")) },
		"a new image":     func(r *root) { r.oldLayer("new", "") },
		"a tag":           func(r *root) { r.write(`{"Repositories":{"a":{}}}`, oldNamesFile) },
		"a new state":     func(r *root) { r.write(`{}`, containersDir, hexID("web"), oldConfigFile) },
		"the migration":   func(r *root) { r.write("x", layersDir, "x", "x") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := oldRoot(t)
			r.oldContainer("web", r.oldLayer("one", ""))
			before := r.settledStamp()
			if again := r.settledStamp(); again != before {
				t.Errorf("%s, then %s", before, again)
			}
			change(r)
			if after := r.settledStamp(); after == before {
				t.Error("the stamp is the same")
			}
		})
	}
}

// Any old records give a consistent catalog.
func FuzzOldRecords(f *testing.F) {
	r := oldRoot(f)
	one := r.oldLayer("one", "")
	two := r.oldLayer("two", `,"parent":"`+one+`"`)
	web := r.oldContainer("web", two)
	f.Add([]byte(`{"Repositories":{"web":{"1":"`+two+`","sha256:a":"x"}}}`), []byte(`{"ID":"`+web+`","Name":"/web","Image":"`+two+`","Volumes":{"/v":"/x"}}`),
		[]byte(`{"parent_id":"sha256:`+two+`"}`), []byte(two))
	f.Add([]byte(`null`), []byte(`{"ID":"`+web+`","State":{"Running":true},"MountPoints":{"/v":null},"Args":[""]}`), []byte(`{"id":"x","config":{"Labels":{"a":"b"}}}`), []byte("\n"))
	f.Fuzz(func(t *testing.T, repositories, config, image, parent []byte) {
		r := &root{t: t, dir: r.dir}
		r.write(string(repositories), oldNamesFile)
		r.write(string(config), containersDir, web, oldConfigFile)
		r.write(string(image), oldImagesDir, one, "json")
		r.write(string(parent), oldImagesDir, one, "parent")
		cat, err := r.source().Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		assertConsistent(t, cat)
		for _, w := range cat.Warnings {
			if len(w.Error()) > 2000 {
				t.Errorf("a warning of %d bytes", len(w.Error()))
			}
		}
		if len(cat.Volumes) != 5 {
			t.Errorf("%d volumes", len(cat.Volumes))
		}
	})
}
