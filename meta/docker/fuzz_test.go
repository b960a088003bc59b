package docker

import (
	"testing"
)

// Any records give a consistent catalog.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(`{"Repositories":{"a":{"a:1":"sha256:ab"}}}`), []byte(`{"ID":"x","Name":"/x","Image":"y","Driver":"devicemapper"}`),
		[]byte(`{"rootfs":{"diff_ids":["sha256:ab"]}}`), []byte("ab-init\n"), []byte("sha256:ab"))
	r := newRoot(f)
	image, _ := r.image("image", "one", "two")
	_, chains := r.layers("one", "two", "three")
	id := r.container("c", "/c", chains[2])
	names := `{"Repositories":{"a":{"../a":"sha256:` + image + `","a@b":"sha256:` + image + `","":"sha256:` + image + `"}}}`
	f.Add([]byte(names), []byte(`{"ID":"`+id+`","Name":"//..","Driver":"devicemapper"}`), []byte("null"), []byte(hexID("one")), []byte(chains[2]))
	f.Add([]byte(names), []byte(`{"ID":"`+id+`","Name":"/c","Driver":"devicemapper","Created":"2020-01-02T03:04:05Z","Path":"sh","Args":["-c"],`+
		`"State":{"Running":true,"Paused":true,"StartedAt":"2020-01-02T03:04:05Z"},"Config":{"Labels":{"a":"b"}},"MountPoints":{"/v":{"Type":"volume","Name":"n","RW":true}}}`),
		[]byte(`{"created":"2020-01-02T03:04:05Z","config":{"Labels":{"a":"b"}},"rootfs":{"diff_ids":[]}}`), []byte(hexID("two")), []byte(chains[1]))
	f.Add([]byte("null"), []byte("[]"), []byte(`{"rootfs":{"diff_ids":null}}`), []byte("base"), []byte(chains[0]))
	f.Fuzz(func(t *testing.T, repositories, config, content, word, parent []byte) {
		r := &root{t: t, dir: r.dir}
		r.write(string(repositories), namesFile)
		r.write(string(config), containersDir, id, configFile)
		r.write(string(content), imagesDir, image)
		r.write(string(word), mountsDir, id, "init-id")
		r.write(string(word), layersDir, chains[1][7:], "cache-id")
		r.write(string(parent), layersDir, chains[0][7:], "parent")
		r.write(string(parent), mountsDir, id, "parent")
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
		if len(cat.Volumes) != 6 {
			t.Errorf("%d volumes", len(cat.Volumes))
		}
	})
}
