package containerd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// The keys of meta.db.
const (
	keyImages      = "images"
	keyContainers  = "containers"
	keyImage       = "image"
	keySnapshotter = "snapshotter"
	keySnapshotKey = "snapshotKey"
	keySpec        = "spec"
	keyTarget      = "target"
	keyDigest      = "digest"
)

// namespaces are what the namespaces have in this snapshotter, sorted by namespace and
// name.
type namespaces struct {
	path       string // of meta.db
	snapshots  []namedSnapshot
	containers []container
	images     []image
}

// key is what containerd calls something: its key in a namespace.
type key struct{ namespace, key string }

func (k key) String() string { return k.namespace + "/" + k.key }

// namedSnapshot is a snapshot as its namespace has it.
type namedSnapshot struct {
	key
	name    string // its key in the snapshotter
	parent  string // its parent's key in the namespace, "" if it has none
	labels  map[string]string
	created time.Time
}

// container is a container whose files are in a snapshot of this snapshotter.
type container struct {
	key
	image, snapshotKey string
	labels             map[string]string
	created            time.Time
	spec               spec
}

// image is an image that is unpacked into this snapshotter.
type image struct {
	key
	digest  string // of its target
	chainID string // the key of the snapshot that has its files
	labels  map[string]string
	created time.Time
}

// readNamespaces reads meta.db. For each damaged record, damaged has an error.
func readNamespaces(ctx context.Context, db *database) (all namespaces, damaged []error, err error) {
	all.path = db.path
	err = db.view(func(v1 *bbolt.Bucket) error {
		return eachBucket(ctx, v1, func(namespace string, in *bbolt.Bucket) error {
			each := func(read func(key, *bbolt.Bucket) error, path ...string) error {
				return eachBucket(ctx, bucketIn(in, path...), func(name string, b *bbolt.Bucket) error {
					k := key{namespace, name}
					if err := read(k, b); err != nil {
						damaged = append(damaged, fmt.Errorf("%s: %s %.160q: %w", db.path, path[0], k, err))
					}
					return nil
				})
			}
			content := contentOf(in)
			return errors.Join(
				each(all.addSnapshot, keySnapshots, snapshotter),
				each(all.addContainer, keyContainers),
				each(func(k key, b *bbolt.Bucket) error { return all.addImage(k, b, content) }, keyImages))
		})
	}, keyVersion)
	return all, damaged, err
}

func (n *namespaces) addSnapshot(k key, b *bbolt.Bucket) (err error) {
	s := namedSnapshot{key: k, name: text(b, keyName), parent: text(b, keyParent), labels: labels(b)}
	if s.name == "" {
		return fmt.Errorf("no %s", keyName)
	}
	if s.created, err = created(b); err == nil {
		n.snapshots = append(n.snapshots, s)
	}
	return err
}

// addContainer adds a container. A container without a valid spec is added all the same.
func (n *namespaces) addContainer(k key, b *bbolt.Bucket) (err error) {
	c := container{key: k, image: text(b, keyImage), snapshotKey: text(b, keySnapshotKey), labels: labels(b)}
	if text(b, keySnapshotter) != snapshotter || c.snapshotKey == "" {
		return nil
	}
	if c.created, err = created(b); err != nil {
		return err
	}
	c.spec, err = parseSpec(b.Get([]byte(keySpec)))
	n.containers = append(n.containers, c)
	return err
}

func (n *namespaces) addImage(k key, b *bbolt.Bucket, content content) (err error) {
	target := bucketIn(b, keyTarget)
	if target == nil {
		return fmt.Errorf("no %s", keyTarget)
	}
	i := image{key: k, digest: text(target, keyDigest), labels: labels(b)}
	if i.chainID = content.unpacked(i.digest, 0); i.chainID == "" {
		return nil
	}
	if i.created, err = created(b); err == nil {
		n.images = append(n.images, i)
	}
	return err
}
