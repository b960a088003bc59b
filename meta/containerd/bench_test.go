package containerd

import (
	"errors"
	"fmt"
	"testing"

	"go.etcd.io/bbolt"
)

// big makes a root with 10,000 snapshots: 3,000 containers on the layers of 1,000 images.
func big(b *testing.B) *root {
	b.Helper()
	r := newRoot(b)
	var list []made
	number := uint64(0)
	for i := range 1000 {
		parent, parentID := "", uint64(0)
		for layer := range 7 {
			number++
			key := fmt.Sprintf("sha256:%064d", i*10+layer)
			list = append(list, made{number, 3, "k8s.io", key, parent, parentID})
			parent, parentID = key, number
		}
		for c := range 3 {
			number++
			list = append(list, made{number, 2, "k8s.io", fmt.Sprintf("%060d-%d", i, c), parent, parentID})
		}
	}
	r.snapshots(list...)
	r.bulk(list)
	return r
}

func BenchmarkLoad(b *testing.B) {
	r := big(b)
	for b.Loop() {
		cat := r.load()
		if len(cat.Snapshots) != 10_000 || len(cat.Containers) != 3000 || len(cat.Images) != 1000 {
			b.Fatal(len(cat.Snapshots), len(cat.Containers), len(cat.Images))
		}
	}
}

func BenchmarkStamp(b *testing.B) {
	r := big(b)
	for b.Loop() {
		if _, err := r.source().Stamp(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// bulk adds a container for each active snapshot, and an image for each that has one.
func (r *root) bulk(list []made) {
	r.t.Helper()
	args := make([]string, 200) // a spec as long as a real one
	for i := range args {
		args[i] = "an argument of a container's command"
	}
	spec := specOf(args...)
	r.meta(func(tx *bbolt.Tx) (err error) {
		for i, s := range list {
			if s.kind == 2 {
				err = errors.Join(err, put(in(tx, keyVersion, s.namespace, keyContainers, s.key),
					keyImage, "i:1", keySnapshotter, snapshotter, keySnapshotKey, s.key, keySpec, spec))
			}
			if i%10 == 6 { // the topmost layer
				name, manifest, config := fmt.Sprint("i:", i), fmt.Sprint("manifest", i), fmt.Sprint("config", i)
				err = errors.Join(err,
					put(in(tx, keyVersion, s.namespace, keyImages, name)),
					put(in(tx, keyVersion, s.namespace, keyImages, name, keyTarget), keyDigest, manifest),
					putLabels(in(tx, keyVersion, s.namespace, keyContent, keyBlob, manifest), contentLabel+"config", config),
					putLabels(in(tx, keyVersion, s.namespace, keyContent, keyBlob, config), snapshotLabel, s.key))
			}
		}
		return err
	})
}
