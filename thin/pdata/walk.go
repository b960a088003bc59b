package pdata

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// maxDepth is how many nodes a way from a root to a leaf has at most. A full tree
// of 16 levels would take more blocks than metadata can have.
const maxDepth = 16

// tree is a btree, and what can be in it.
type tree struct {
	name      Tree
	device    uint32 // see DamageError
	root      uint64 // a block
	valueSize int    // of the leaves, in bytes
	keyEnd    uint64 // all keys are below it
	// checkValue, which may be nil, tells what is wrong with a value.
	checkValue func([]byte) error
}

// span is the range of keys from begin to what is before end.
type span struct{ begin, end uint64 }

// item is what a walk meets: an entry, or damage in the place of some.
type item struct {
	key    uint64 // of damage: the first that is lost among those asked for
	value  []byte // nobody may write to it
	damage *DamageError
}

// damaged is damage of the tree.
func (t *tree) damaged(block uint64, keys span, err error) *DamageError {
	return &DamageError{Tree: t.name, Device: t.device, Block: block, KeyBegin: keys.begin, KeyEnd: keys.end, Err: err}
}

// walk calls visit for all that the tree has in a range of keys, in rising order,
// until visit returns false. Its error is the context's.
func (v *view) walk(ctx context.Context, t tree, keys span, visit func(item) bool) error {
	keys.end = min(keys.end, t.keyEnd)
	if keys.begin >= keys.end {
		return nil
	}
	w := walker{v: v, tree: t, keys: keys, visit: visit}
	_, err := w.subtree(ctx, t.root, span{0, t.keyEnd})
	return err
}

// lookup finds what the tree has for a key. Damage there is the error.
func (v *view) lookup(ctx context.Context, t tree, key uint64) (value []byte, found bool, err error) {
	var damage error
	err = v.walk(ctx, t, span{key, key + 1}, func(it item) bool {
		if it.damage != nil {
			damage = it.damage
		} else {
			value, found = it.value, true
		}
		return false
	})
	if err == nil {
		err = damage
	}
	return value, found, err
}

// highest is the last key in the tree. Damage in the way to it is the error.
func (v *view) highest(ctx context.Context, t tree) (key uint64, found bool, err error) {
	w := walker{v: v, tree: t}
	block, within := t.root, span{0, t.keyEnd}
	for {
		n, err := w.load(ctx, block, within)
		switch {
		case ctx.Err() != nil:
			return 0, false, ctx.Err()
		case err != nil:
			return 0, false, t.damaged(block, within, err)
		case n.leaf && n.nr == 0:
			return 0, false, nil
		case n.leaf:
			return n.key(n.nr - 1), true, nil
		}
		w.path = append(w.path, block)
		block, within = n.child(n.nr-1, within)
	}
}

// walker is a walk under way.
type walker struct {
	v     *view
	tree  tree
	keys  span
	visit func(item) bool
	path  []uint64 // the blocks from the root to where it is
}

// subtree walks what lies below a block, the keys of which must be within a range.
func (w *walker) subtree(ctx context.Context, block uint64, within span) (more bool, err error) {
	n, err := w.load(ctx, block, within)
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case err != nil:
		return w.visit(item{key: max(within.begin, w.keys.begin), damage: w.tree.damaged(block, within, err)}), nil
	case n.leaf:
		return w.leaf(block, n), nil
	}
	i := n.search(w.keys.begin)
	if i > 0 && (i == n.nr || n.key(i) > w.keys.begin) {
		i--
	}
	w.path = append(w.path, block)
	for ; i < n.nr && n.key(i) < w.keys.end; i++ {
		child, part := n.child(i, within)
		if more, err := w.subtree(ctx, child, part); !more || err != nil {
			return false, err
		}
	}
	w.path = w.path[:len(w.path)-1]
	return true, nil
}

func (w *walker) leaf(block uint64, n node) (more bool) {
	for i := n.search(w.keys.begin); i < n.nr && n.key(i) < w.keys.end; i++ {
		it := item{key: n.key(i), value: n.value(i)}
		if w.tree.checkValue != nil {
			if err := w.tree.checkValue(it.value); err != nil {
				it = item{key: it.key, damage: w.tree.damaged(block, span{it.key, it.key + 1}, err)}
			}
		}
		if !w.visit(it) {
			return false
		}
	}
	return true
}

// child is a child of an internal node, the keys of which are within a range, and
// the range that the child's keys must be within.
func (n node) child(i int, within span) (block uint64, keys span) {
	keys = span{n.key(i), within.end}
	if i+1 < n.nr {
		keys.end = n.key(i + 1)
	}
	return le.Uint64(n.value(i)), keys
}

// load gives the node in a block, if it can be at this place of the tree.
func (w *walker) load(ctx context.Context, block uint64, within span) (node, error) {
	if err := ctx.Err(); err != nil {
		return node{}, err
	}
	if len(w.path) == maxDepth {
		return node{}, fmt.Errorf("deeper than %d nodes", maxDepth)
	}
	if slices.Contains(w.path, block) {
		return node{}, errors.New("lies below itself")
	}
	p, err := w.v.block(ctx, block, kindNode)
	if err != nil {
		return node{}, err
	}
	n := parseNode(p)
	switch {
	case n.leaf && n.valueSize != w.tree.valueSize:
		return n, fmt.Errorf("values of %d bytes instead of %d", n.valueSize, w.tree.valueSize)
	case n.nr == 0 && len(w.path) > 0:
		return n, errors.New("empty, and not the root")
	case n.nr > 0 && n.key(0) < within.begin:
		return n, fmt.Errorf("key %d, where those from %d on belong", n.key(0), within.begin)
	case n.nr > 0 && n.key(n.nr-1) >= within.end:
		return n, fmt.Errorf("key %d, where those below %d belong", n.key(n.nr-1), within.end)
	}
	return n, nil
}
