package containerd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"thintree/meta"
	"thintree/meta/record"
)

func TestStatesOfDevices(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	want := map[string]meta.State{}
	for state := stateUnknown; state <= stateFaulty; state++ {
		name := fmt.Sprint("p-snap-", int(state)+1)
		r.device(name, uint32(state)+1, "", state)
		switch state {
		case 0, 1, 2:
			want[name] = meta.StateHalf
		case 11, 12:
			want[name] = meta.StateDeleted
		case 13:
			want[name] = meta.StateFaulty
		default:
			want[name] = meta.StateNormal
		}
	}
	got := map[string]meta.State{}
	for _, v := range r.load().Volumes {
		got[v.Name] = v.State
		if v.Role != meta.RoleVolume || v.SizeBytes != 1<<20 {
			t.Errorf("%+v", v)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDamagedDevicesAreWarnings(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.device("good", 1, "", stateActivated)
	r.device("child", 2, "lost", stateActivated)
	r.device("high", 1<<24, "", stateActivated)
	r.device("twice-a", 3, "", stateActivated)
	r.device("twice-b", 3, "", stateActivated)
	r.device("new", 4, "", stateFaulty+1)
	r.device("loop-a", 5, "loop-b", stateActivated)
	r.device("loop-b", 6, "loop-a", stateActivated)
	r.rawDevice("text", 7, "no JSON")
	r.rawDevice("renamed", 8, deviceRecord("other", 8, "", stateActivated))
	r.rawDevice("anonymous", 9, `{"name":"anonymous","size":512}`)
	r.rawDevice("sizeless", 9, `{"name":"sizeless","device_id":9}`)
	r.rawDevice("odd", 9, `{"name":"odd","device_id":9,"size":100}`)
	r.pool("p", func(tx *bbolt.Tx) error {
		return in(tx, keyDevices).Put([]byte("free"), []byte(deviceRecord("free", 10, "", stateActivated)))
	})
	cat := r.load(`"child": its parent, "lost",`, `"high": device_id 16777216`, `"twice-a" and "twice-b" have the same id, 3`, `"new": the state 14`,
		`"loop-`, `"text": invalid`, `"renamed": this is the record of another one, "other"`, `"anonymous": no device_id`, `"sizeless": no size`, `"odd": size 100`,
		`"free": its id, 10, is free`)
	var names []string
	for _, v := range cat.Volumes {
		names = append(names, v.Name)
	}
	if diff := cmp.Diff([]string{"child", "good", "loop-a", "loop-b"}, names); diff != "" {
		t.Error(diff)
	}
	if a, b := volume(t, cat, "loop-a"), volume(t, cat, "loop-b"); a.Parent != "" && b.Parent != "" || volume(t, cat, "child").Parent != "" {
		t.Errorf("parents %q and %q", a.Parent, b.Parent)
	}
}

func TestSnapshotsOfAllKindsAreNamed(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.snapshots(made{1, 3, "ns", "layer", "", 0}, made{2, 2, "ns", "odd/../name\x01\xff", "layer", 1}, made{3, 1, "ns", "view", "layer", 1}, made{4, 3, "other", "layer", "", 0})
	want := []meta.Snapshot{
		{Name: "ns/layer", Volume: "p-snap-1", Kind: meta.SnapshotCommitted, Labels: map[string]string{"of": "layer"}, Created: someday},
		{Name: "ns/odd/../name\x01\xff", Volume: "p-snap-2", Parent: "ns/layer", Kind: meta.SnapshotActive, Labels: map[string]string{"of": "odd/../name\x01\xff"}, Created: someday},
		{Name: "ns/view", Volume: "p-snap-3", Parent: "ns/layer", Kind: meta.SnapshotView, Labels: map[string]string{"of": "view"}, Created: someday},
		{Name: "other/layer", Volume: "p-snap-4", Kind: meta.SnapshotCommitted, Labels: map[string]string{"of": "layer"}, Created: someday},
	}
	cat := r.load()
	if diff := cmp.Diff(want, cat.Snapshots); diff != "" {
		t.Error(diff)
	}
	if v := volume(t, cat, "p-snap-3"); v.Role != meta.RoleVolume || v.Parent != "p-snap-1" || !v.Created.Equal(someday) {
		t.Errorf("%+v", v)
	}
}

func TestSnapshotsThatOneDatabaseLacksAreWarnings(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.snapshots(made{1, 3, "ns", "good", "", 0}, made{2, 3, "ns", "orphan", "", 0}, made{3, 3, "ns", "gone", "", 0}, made{4, 3, "ns", "deviceless", "", 0},
		made{5, 3, "ns", "child", "orphan", 2}, made{6, 9, "ns", "strange", "", 0}, made{7, 3, "ns", "twice", "", 0})
	r.meta(func(tx *bbolt.Tx) error {
		return in(tx, keyVersion, "ns", keySnapshots, snapshotter).DeleteBucket([]byte("orphan"))
	})
	r.metadata(func(tx *bbolt.Tx) error {
		all := in(tx, keyVersion, keySnapshots)
		return errors.Join(all.DeleteBucket([]byte("ns/103/gone")), put(in(tx, keyVersion, keySnapshots, "ns/9/same"), keyID, "\x07", keyKind, "\x03"))
	})
	r.pool("p", func(tx *bbolt.Tx) error { return in(tx, keyDevices).Delete([]byte("p-snap-4")) })
	cat := r.load(`"ns/gone": "ns/103/gone" has no valid record`, `"ns/104/deviceless": its device, "p-snap-4",`,
		`"ns/child": its parent, "orphan",`, `"ns/106/strange": the kind "\t" is unknown`, `"ns/strange": "ns/106/strange" has no valid record`,
		`"ns/107/twice" and "ns/9/same" have the same id, 7`, `"ns/twice": "ns/107/twice" has no valid record`)
	var names []string
	for _, s := range cat.Snapshots {
		names = append(names, s.Name+" "+s.Parent)
	}
	if diff := cmp.Diff([]string{"ns/child ", "ns/good "}, names); diff != "" {
		t.Error(diff)
	}
	if volume(t, cat, "p-snap-2").Role != meta.RoleLayer {
		t.Error("the orphan is no layer")
	}
}

func TestContainers(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.snapshots(made{1, 2, "ns", "rw", "", 0}, made{2, 2, "ns", "damaged", "", 0})
	r.container("ns", "c", snapshotter, "rw", specOf("sh", "-c", "true"))
	r.container("ns", "damaged", snapshotter, "damaged", "\x12\xff")
	r.container("ns", "lost", snapshotter, "missing", specOf())
	r.container("ns", "rootless", snapshotter, "", specOf())
	r.container("ns", "elsewhere", "overlayfs", "rw", specOf())
	cat := r.load(`containers "ns/damaged": its spec: it is no protobuf message`, `container "ns/lost": its snapshot, "missing", has no valid record`)
	want := []meta.Container{
		{ID: "c", Name: "ns/c", Volume: "p-snap-1", Image: "i:1", Command: []string{"sh", "-c", "true"}, Created: someday, Mounts: []meta.Mount{
			{Type: "bind", Source: "/srv", Destination: "/data", ReadOnly: true}, {Type: "tmpfs", Source: "tmpfs", Destination: "/tmp"},
		}},
		{ID: "damaged", Name: "ns/damaged", Volume: "p-snap-2", Image: "i:1", Created: someday},
	}
	if diff := cmp.Diff(want, cat.Containers); diff != "" {
		t.Error(diff)
	}
	if volume(t, cat, "p-snap-1").Role != meta.RoleContainer {
		t.Error("the container's volume has another role")
	}
}

func TestImageLeadsToTheManifestThatIsUnpacked(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.snapshots(made{1, 3, "ns", "chain-a", "", 0}, made{2, 3, "ns", "chain-b", "", 0}, made{3, 3, "ns", "chain-c", "", 0})
	r.blob("ns", "index", contentLabel+"m.0", "unpacked-not", contentLabel+"m.10", "manifest-b", contentLabel+"m.2", "manifest-a", contentLabel+"m.1", "missing")
	r.blob("ns", "unpacked-not", contentLabel+"config", "config-not", contentLabel+"l.0", "config-b")
	r.blob("ns", "config-not", "containerd.io/gc.ref.snapshot.overlayfs", "chain-b")
	r.blob("ns", "manifest-a", contentLabel+"config", "config-a")
	r.blob("ns", "config-a", snapshotLabel, "chain-a")
	r.blob("ns", "manifest-b", contentLabel+"config", "config-b")
	r.blob("ns", "config-b", snapshotLabel, "chain-b")
	r.blob("ns", "old", contentLabel+"0", "config-c")
	r.blob("ns", "config-c", snapshotLabel, "chain-c")
	r.blob("ns", "loop", contentLabel+"config", "loop")
	r.blob("ns", "removed", contentLabel+"config", "config-r")
	r.blob("ns", "config-r", snapshotLabel, "chain-r")
	for name, digest := range map[string]string{
		"a:1": "index", "b:1": "manifest-b", "c:1": "old", "n:1": "unpacked-not", "l:1": "loop", "r:1": "removed", "m:1": "missing", "s:1": "sha256:00",
	} {
		r.image("ns", name, digest)
	}
	r.image("other", "a:1", "index") // whose content is in the other namespace
	r.meta(func(tx *bbolt.Tx) error { return put(in(tx, keyVersion, "ns", keyImages, "targetless")) })
	cat := r.load(`images "ns/targetless": no target`)
	want := []meta.Image{
		{ID: "index", Names: []string{"ns/a:1"}, Volume: "p-snap-1", Created: someday},
		{ID: "manifest-b", Names: []string{"ns/b:1"}, Volume: "p-snap-2", Created: someday},
		{ID: "old", Names: []string{"ns/c:1"}, Volume: "p-snap-3", Created: someday},
	}
	if diff := cmp.Diff(want, cat.Images); diff != "" {
		t.Error(diff)
	}
}

func TestRecordWithADamagedTimeIsAWarning(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.snapshots(made{1, 3, "ns", "a", "", 0}, made{2, 3, "ns", "b", "", 0})
	far, _ := time.Date(123456, 1, 1, 0, 0, 0, 0, time.UTC).MarshalBinary()
	r.meta(func(tx *bbolt.Tx) error {
		return errors.Join(in(tx, keyVersion, "ns", keySnapshots, snapshotter, "a").Put([]byte(keyCreatedAt), far),
			in(tx, keyVersion, "ns", keySnapshots, snapshotter, "b").Put([]byte(keyCreatedAt), far[:5]))
	})
	cat := r.load(`snapshots "ns/a": createdat: the year 123456`, `snapshots "ns/b": createdat`)
	if len(cat.Snapshots) > 0 || len(cat.Volumes) != 2 {
		t.Errorf("%+v", cat)
	}
}

func TestOtherSnapshottersAreIgnored(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.meta(func(tx *bbolt.Tx) error {
		return put(in(tx, keyVersion, "ns", keySnapshots, "overlayfs", "x"), keyName, "ns/1/x")
	})
	if cat := r.load(); len(cat.Snapshots) > 0 || cat.SnapshotsLost != nil {
		t.Error(cat.Snapshots, cat.SnapshotsLost)
	}
}

func TestLostDatabases(t *testing.T) {
	t.Parallel()
	for _, name := range []string{metaFile, pluginDir + "/" + metadataFile} {
		for _, damage := range []func(path string) error{os.Remove, func(path string) error { return os.Truncate(path, 5000) }} {
			r := newRoot(t)
			r.snapshots(made{1, 3, "ns", "layer", "", 0}, made{2, 2, "ns", "rw", "layer", 1})
			r.container("ns", "c", snapshotter, "rw", specOf())
			if err := damage(r.path(name)); err != nil {
				t.Fatal(err)
			}
			cat := r.load(filepath.Base(name))
			if len(cat.Volumes) != 2 || cat.ContainersLost == nil || cat.ImagesLost == nil || cat.SnapshotsLost == nil || len(cat.Warnings) != 1 {
				t.Errorf("%s: %+v", name, cat)
			}
		}
	}
}

func TestErrorsForWhatIsNotARoot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "missing")} {
		_, err := New(path, nil).Load(t.Context())
		if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "containerd:"+path+": ") || !strings.Contains(err.Error(), "is this a containerd root") {
			t.Error(err)
		}
		if Recognise(path) {
			t.Errorf("%s is recognised", path)
		}
	}
	r := newRoot(t)
	if err := os.Truncate(r.path(pluginDir+"/p.db"), 5000); err != nil {
		t.Fatal(err)
	}
	if _, err := r.source().Load(t.Context()); err == nil || !strings.Contains(err.Error(), "p.db") {
		t.Error(err)
	}
	if _, err := System.Open("/x", meta.Options{Pool: "/one-half"}); err == nil {
		t.Error("a half of a pool is taken for a pool")
	}
}

func TestDatabaseThatWasWrittenToLastIsThePools(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.device("p-snap-1", 1, "", stateActivated)
	r.update(r.path(pluginDir+"/unrelated.db"), func(*bbolt.Tx) error { return nil })
	r.pool("old", func(*bbolt.Tx) error { return nil })
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(r.path(pluginDir+"/old.db"), long, long); err != nil {
		t.Fatal(err)
	}
	cat := r.load("old.db: this is a database of a pool too")
	if cat.Pools[0].Name != "p" || len(cat.Volumes) != 1 {
		t.Errorf("%+v", cat.Pools)
	}
}

func TestConfigurationNamesFolderAndPool(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		used bool
	}{
		"version 1":      {"[plugins.devmapper]\nroot_path = \"/srv/dm\"\npool_name = \"p\"", true},
		"version 2":      {"version = 2\nroot = \"/var/lib/containerd/\"\n[plugins.\"io.containerd.snapshotter.v1.devmapper\"]\nroot_path = \"/srv/dm\"\npool_name = \"p\"\nasync_remove = true\n[plugins.cri]\nroot_path = 7", true},
		"another root":   {"version = 2\nroot = \"/data\"\n[plugins.\"io.containerd.snapshotter.v1.devmapper\"]\nroot_path = \"/srv/dm\"\npool_name = \"p\"", false},
		"without a path": {"version = 3\n[plugins.\"io.containerd.snapshotter.v1.devmapper\"]\npool_name = \"p\"", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoot(t)
			top := t.TempDir()
			dir := filepath.Join(top, defaultRoot)
			text := filepath.Join(top, configFile)
			err := errors.Join(os.MkdirAll(filepath.Dir(dir), 0o700), os.Rename(r.dir, dir), os.MkdirAll(filepath.Dir(text), 0o700), os.MkdirAll(filepath.Join(top, "srv"), 0o700),
				os.WriteFile(text, []byte(c.text), 0o600))
			r.dir = dir
			r.device("p-snap-1", 1, "", stateActivated)
			if c.used {
				// A link of this system, which must not lead to another one.
				err = errors.Join(err, os.Rename(r.path(pluginDir), filepath.Join(top, "srv/moved")), os.Symlink("/srv/moved", filepath.Join(top, "srv/dm")))
			}
			if err != nil {
				t.Fatal(err)
			}
			if !Recognise(dir) {
				t.Error("not recognised")
			}
			cat, err := r.source().Load(t.Context())
			if err != nil || len(cat.Warnings) > 0 {
				t.Fatal(err, cat)
			}
			want := filepath.Join(dir, pluginDir, "p.db")
			if c.used {
				want = filepath.Join(top, "srv/moved/p.db")
			}
			if got := volume(t, cat, "p-snap-1").Record; got != want {
				t.Errorf("%s instead of %s", got, want)
			}
			if !slices.Contains(r.source().Places(), filepath.Dir(want)) {
				t.Error(r.source().Places())
			}
		})
	}
}

func TestDamagedConfigurationIsAWarning(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	top := t.TempDir()
	text := filepath.Join(top, configFile)
	dir := filepath.Join(top, defaultRoot)
	err := errors.Join(os.MkdirAll(filepath.Dir(dir), 0o700), os.Rename(r.dir, dir), os.MkdirAll(filepath.Dir(text), 0o700), os.WriteFile(text, []byte("= ["), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	cat, err := New(dir, nil).Load(t.Context())
	if err != nil || len(cat.Warnings) != 1 || !strings.Contains(cat.Warnings[0].Error(), text) {
		t.Error(err, cat)
	}
}

func TestLoadWaitsForNoLock(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.snapshots(made{1, 3, "ns", "layer", "", 0})
	for _, name := range []string{metaFile, pluginDir + "/" + metadataFile, pluginDir + "/p.db"} {
		db, err := bbolt.Open(r.path(name), 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		tx, err := db.Begin(true)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
	}
	if cat := r.load(); len(cat.Snapshots) != 1 {
		t.Errorf("%+v", cat)
	}
}

// The databases are changed one after the other, as containerd does it.
func TestSnapshotsThatComeWhileLoadingAreNoWarnings(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	var dbs []*bbolt.DB
	for _, name := range []string{pluginDir + "/p.db", pluginDir + "/" + metadataFile, metaFile} {
		db, err := bbolt.Open(r.path(name), 0o600, &bbolt.Options{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		dbs = append(dbs, db)
	}
	go func() {
		defer close(done)
		for n := uint64(1); ctx.Err() == nil; n++ {
			s := made{n, 2, "ns", fmt.Sprint("s", n), "", 0}
			err := dbs[0].Update(func(tx *bbolt.Tx) error {
				return errors.Join(in(tx, keyDevices).Put([]byte(s.device()), []byte(deviceRecord(s.device(), uint32(n), "", stateActivated))), in(tx, keyDeviceIDs).Put(fmt.Append(nil, n), []byte{1}))
			})
			err = errors.Join(err, dbs[1].Update(func(tx *bbolt.Tx) error {
				return put(in(tx, keyVersion, keySnapshots, s.backend()), keyID, string(binary.AppendUvarint(nil, n)), keyKind, "\x02")
			}))
			time.Sleep(record.Tick)
			err = errors.Join(err, dbs[2].Update(func(tx *bbolt.Tx) error {
				return put(in(tx, keyVersion, "ns", keySnapshots, snapshotter, s.key), keyName, s.backend())
			}))
			if err != nil {
				t.Error(err)
			}
			time.Sleep(5 * record.Tick)
		}
	}()
	for range 20 {
		cat, err := r.source().Load(t.Context())
		if err != nil || len(cat.Warnings) > 0 {
			t.Error(err, cat)
		}
	}
	stop()
	<-done
}

func TestStampChangesWithEachDatabase(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r *root){
		"a device":    func(r *root) { r.device("x", 9, "", stateActivated) },
		"a container": func(r *root) { r.container("ns", "new", snapshotter, "rw", specOf()) },
		"a snapshot": func(r *root) {
			r.metadata(func(tx *bbolt.Tx) error {
				return put(in(tx, keyVersion, keySnapshots, "x"), keyID, "\x09", keyKind, "\x03")
			})
		},
		"another pool": func(r *root) { r.pool("q", func(*bbolt.Tx) error { return nil }) },
		"a lost root":  func(r *root) { os.RemoveAll(r.dir) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoot(t)
			stamp := func() string {
				time.Sleep(2 * record.Tick)
				s, err := r.source().Stamp(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			before := stamp()
			r.load()
			if again := stamp(); again != before {
				t.Errorf("%s, then %s", before, again)
			}
			change(r)
			if stamp() == before {
				t.Error("the stamp is the same")
			}
		})
	}
}

func TestContextEndsLoadAndStamp(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.source().Load(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := r.source().Stamp(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
