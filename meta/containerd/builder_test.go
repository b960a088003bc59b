package containerd

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"thintree/meta"
)

var someday = time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)

// root is a containerd root that a test makes.
type root struct {
	t   testing.TB
	dir string
}

// newRoot makes a root like containerd at its first start, with the pool "p".
func newRoot(t testing.TB) *root {
	t.Helper()
	r := &root{t, filepath.Join(t.TempDir(), "containerd")}
	r.meta(func(*bbolt.Tx) error { return nil })
	r.metadata(func(*bbolt.Tx) error { return nil })
	r.pool("p", func(tx *bbolt.Tx) error { return nil })
	return r
}

func (r *root) path(name string) string { return filepath.Join(r.dir, name) }

// update changes a database, which it makes if it is missing.
func (r *root) update(path string, f func(*bbolt.Tx) error) {
	r.t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		var db *bbolt.DB
		if db, err = bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true}); err == nil {
			err = errors.Join(db.Update(f), db.Close())
		}
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *root) meta(f func(*bbolt.Tx) error) { r.t.Helper(); r.update(r.path(metaFile), f) }
func (r *root) metadata(f func(*bbolt.Tx) error) {
	r.t.Helper()
	r.update(r.path(pluginDir+"/"+metadataFile), f)
}

func (r *root) pool(name string, f func(*bbolt.Tx) error) {
	r.t.Helper()
	r.update(r.path(pluginDir+"/"+name+dbSuffix), func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists([]byte(keyDevices))
		_, err2 := tx.CreateBucketIfNotExists([]byte(keyDeviceIDs))
		return errors.Join(err, err2, f(tx))
	})
}

// in makes the buckets on a path.
func in(tx *bbolt.Tx, names ...string) *bbolt.Bucket {
	b, err := tx.CreateBucketIfNotExists([]byte(names[0]))
	for _, name := range names[1:] {
		if err == nil {
			b, err = b.CreateBucketIfNotExists([]byte(name))
		}
	}
	if err != nil {
		panic(err)
	}
	return b
}

// put puts keys and values, one after the other, into a bucket, and the time of creation.
func put(b *bbolt.Bucket, pairs ...string) (err error) {
	stamp, _ := someday.MarshalBinary()
	err = b.Put([]byte(keyCreatedAt), stamp)
	for i := 0; i < len(pairs); i += 2 {
		err = errors.Join(err, b.Put([]byte(pairs[i]), []byte(pairs[i+1])))
	}
	return err
}

// putLabels puts the labels of a record.
func putLabels(b *bbolt.Bucket, pairs ...string) error {
	labels, err := b.CreateBucketIfNotExists([]byte(keyLabels))
	for i := 0; i < len(pairs); i += 2 {
		err = errors.Join(err, labels.Put([]byte(pairs[i]), []byte(pairs[i+1])))
	}
	return err
}

// deviceRecord is a device's record as containerd writes it.
func deviceRecord(name string, id uint32, parent string, state deviceState) string {
	return fmt.Sprintf(`{"device_id":%d,"size":1048576,"name":%q,"parent_name":%q,"state":%d,"error":""}`, id, name, parent, state)
}

// device writes a device's record, and marks its id as taken.
func (r *root) device(name string, id uint32, parent string, state deviceState) {
	r.t.Helper()
	r.rawDevice(name, id, deviceRecord(name, id, parent, state))
}

func (r *root) rawDevice(name string, id uint32, record string) {
	r.t.Helper()
	r.pool("p", func(tx *bbolt.Tx) error {
		return errors.Join(in(tx, keyDevices).Put([]byte(name), []byte(record)), in(tx, keyDeviceIDs).Put(fmt.Append(nil, id), []byte{1}))
	})
}

// made is a snapshot that a test makes.
type made struct {
	number    uint64
	kind      byte // as in metadata.db
	namespace string
	key       string
	parent    string // a key of the namespace
	parentID  uint64
}

func (s made) backend() string { return fmt.Sprintf("%s/%d/%s", s.namespace, s.number+100, s.key) }
func (s made) device() string  { return fmt.Sprint("p-snap-", s.number) }

// snapshots adds snapshots to all three databases. The id of a device is the number of its snapshot.
func (r *root) snapshots(list ...made) {
	r.t.Helper()
	r.meta(func(tx *bbolt.Tx) (err error) {
		for _, s := range list {
			b := in(tx, keyVersion, s.namespace, keySnapshots, snapshotter, s.key)
			err = errors.Join(err, put(b, keyName, s.backend()), putLabels(b, "of", s.key))
			if s.parent != "" {
				err = errors.Join(err, b.Put([]byte(keyParent), []byte(s.parent)))
			}
		}
		return err
	})
	r.metadata(func(tx *bbolt.Tx) (err error) {
		for _, s := range list {
			b := in(tx, keyVersion, keySnapshots, s.backend())
			err = errors.Join(err, put(b, keyID, string(binary.AppendUvarint(nil, s.number)), keyKind, string(s.kind)))
		}
		return err
	})
	r.pool("p", func(tx *bbolt.Tx) (err error) {
		for _, s := range list {
			parent := ""
			if s.parentID != 0 {
				parent = fmt.Sprint("p-snap-", s.parentID)
			}
			err = errors.Join(err,
				in(tx, keyDevices).Put([]byte(s.device()), []byte(deviceRecord(s.device(), uint32(s.number), parent, stateActivated))),
				in(tx, keyDeviceIDs).Put(fmt.Append(nil, s.number), []byte{1}))
		}
		return err
	})
}

// container adds a container.
func (r *root) container(namespace, id, snapshotterName, snapshotKey, spec string) {
	r.t.Helper()
	r.meta(func(tx *bbolt.Tx) error {
		return put(in(tx, keyVersion, namespace, keyContainers, id), keyImage, "i:1", keySnapshotter, snapshotterName, keySnapshotKey, snapshotKey, keySpec, spec)
	})
}

// anyOf is a protobuf message of the type Any with a value.
func anyOf(value string) string {
	message := append([]byte{1<<3 | 2, 4}, "type"...)
	message = binary.AppendUvarint(append(message, 2<<3|2), uint64(len(value)))
	return string(append(message, value...))
}

func specOf(args ...string) string {
	text, _ := json.Marshal(map[string]any{"process": map[string]any{"args": args}, "mounts": []any{
		map[string]any{"destination": "/data", "type": "bind", "source": "/srv", "options": []string{"rbind", "ro"}},
		map[string]any{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
	}})
	return anyOf(string(text))
}

// blob adds a blob with labels.
func (r *root) blob(namespace, digest string, labels ...string) {
	r.t.Helper()
	r.meta(func(tx *bbolt.Tx) error {
		return putLabels(in(tx, keyVersion, namespace, keyContent, keyBlob, digest), labels...)
	})
}

// image adds an image.
func (r *root) image(namespace, name, digest string) {
	r.t.Helper()
	r.meta(func(tx *bbolt.Tx) error {
		return errors.Join(put(in(tx, keyVersion, namespace, keyImages, name)), put(in(tx, keyVersion, namespace, keyImages, name, keyTarget), keyDigest, digest))
	})
}

func (r *root) source() meta.Source { return New(r.dir, nil) }

// load loads the root. Each warning must contain one of texts, and each text be in one of
// them.
func (r *root) load(texts ...string) *meta.Catalog {
	r.t.Helper()
	cat, err := r.source().Load(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	expected := map[string]bool{}
	for _, w := range cat.Warnings {
		known := false
		for _, text := range texts {
			if strings.Contains(w.Error(), text) && strings.Contains(w.Error(), filepath.Dir(r.dir)) {
				known, expected[text] = true, true
			}
		}
		if !known {
			r.t.Errorf("warning: %v", w)
		}
	}
	if len(expected) != len(texts) {
		r.t.Errorf("warnings %v instead of %q", cat.Warnings, texts)
	}
	return cat
}

func volume(t testing.TB, cat *meta.Catalog, name string) meta.Volume {
	t.Helper()
	for _, v := range cat.Volumes {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("no volume %s", name)
	return meta.Volume{}
}
