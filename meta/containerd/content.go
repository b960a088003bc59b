package containerd

import (
	"cmp"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
)

// The keys of a namespace's content.
const (
	keyContent = "content"
	keyBlob    = "blob" // the bucket of blobs, by digest

	// contentLabel begins the labels of a blob that name the blobs that it refers to: the
	// manifests of an index (m.0, m.1, …), the config and the layers (l.0, …) of a manifest.
	// Old versions have only numbers.
	contentLabel = "containerd.io/gc.ref.content."
	// snapshotLabel is a config's label with the key of the snapshot that the image is
	// unpacked to.
	snapshotLabel = "containerd.io/gc.ref.snapshot." + snapshotter
)

// maxReferences bounds the blobs on the way from an image's target to its config. An index, a
// manifest and a config are three.
const maxReferences = 8

// content is the content of a namespace.
type content struct {
	blobs *bbolt.Bucket     // nil if there are none
	known map[string]string // what unpacked returned
}

func contentOf(namespace *bbolt.Bucket) content {
	return content{bucketIn(namespace, keyContent, keyBlob), make(map[string]string)}
}

// unpacked returns the key of the snapshot that an image is unpacked to, by the digest of its
// target, "" if there is none. An index may be of several platforms: the first manifest whose
// image is unpacked counts. depth is the number of blobs that led to the digest.
func (c content) unpacked(digest string, depth int) (chainID string) {
	if chainID, ok := c.known[digest]; ok || depth > maxReferences {
		return chainID
	}
	c.known[digest] = "" // ends loops
	blob := bucketIn(c.blobs, digest)
	if blob == nil {
		return ""
	}
	labels := labels(blob)
	chainID = labels[snapshotLabel]
	if chainID == "" {
		for _, label := range references(labels) {
			if chainID = c.unpacked(labels[label], depth+1); chainID != "" {
				break
			}
		}
	}
	c.known[digest] = chainID
	return chainID
}

// references are the labels that name blobs, but for those of layers, in order: m.2 is
// before m.10.
func references(labels map[string]string) (names []string) {
	for label := range labels {
		if kind, ok := strings.CutPrefix(label, contentLabel); ok && !strings.HasPrefix(kind, "l.") {
			names = append(names, label)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	})
	return names
}
