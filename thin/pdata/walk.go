package pdata

import (
	"context"
	"math"
)

// maxDepth bounds a tree: one of depth 16 would be larger than any device.
const maxDepth = 16

// tree is one btree.
type tree struct {
	m    *Metadata
	c    *commit
	name string
	root uint64
	size int // of a leaf's values, in bytes
}

// node reads a node, or gives it from the cache.
func (t *tree) node(at uint64) (*node, string) {
	limit := t.c.sb.MetadataSpaceMapRoot.NrBlocks
	if at == 0 || at >= limit {
		return nil, "it lies outside of the metadata"
	}
	if n, ok := t.c.nodes.Get(at); ok && (n.internal || n.size == t.size) {
		return n, ""
	}
	b, err := t.m.block(at)
	if err != nil {
		return nil, err.Error()
	}
	n, fault := parseNode(b, at, t.size)
	if fault == "" {
		t.c.nodes.Add(at, n)
	}
	return n, fault
}

// place is a subtree: where it is, and which keys it can have.
type place struct {
	at          uint64
	first, last uint64
}

// walk calls leaf for each leaf that can have keys from first to last, in order,
// and lost for each range of keys that cannot be read, until one returns false.
// keys are the ones that the parent allows the leaf.
func (t *tree) walk(ctx context.Context, first, last uint64, leaf func(n *node, keys place) bool, lost func(*DamageError) bool) error {
	var path []place
	var down func(p place) (bool, error)
	down = func(p place) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n, fault := t.node(p.at)
		if fault == "" {
			fault = t.misplaced(n, p, path)
		}
		if fault != "" {
			return lost(&DamageError{
				Tree: t.name, Block: p.at, Fault: fault,
				First: max(p.first, first), Last: min(p.last, last),
			}), nil
		}
		if !n.internal {
			return leaf(n, p), nil
		}
		path = append(path, p)
		defer func() { path = path[:len(path)-1] }()
		for i := max(n.search(first), 0); i < n.n && n.key(i) <= last; i++ {
			child := place{n.child(i), n.key(i), p.last}
			if i+1 < n.n {
				child.last = n.key(i+1) - 1
			}
			if more, err := down(child); !more || err != nil {
				return more, err
			}
		}
		return true, nil
	}
	_, err := down(place{t.root, 0, math.MaxUint64})
	return err
}

// misplaced says what is wrong with a node for where it is found.
func (t *tree) misplaced(n *node, p place, path []place) string {
	if len(path) >= maxDepth {
		return "the tree is too deep"
	}
	for _, up := range path {
		if up.at == p.at {
			return "it lies below itself"
		}
	}
	if n.n > 0 && (n.key(0) < p.first || n.key(n.n-1) > p.last) {
		return "its keys are outside of its parent's range"
	}
	return ""
}
