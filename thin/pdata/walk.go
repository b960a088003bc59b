package pdata

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// maxDepth is the largest number of nodes on a path from a root to a leaf. A full tree of 16
// levels would have more blocks than metadata can have.
const maxDepth = 16

// tree is a btree, and the rules for its contents.
type tree struct {
	name      Tree
	device    uint32 // see DamageError
	root      uint64 // a block
	valueSize int    // of the leaves, in bytes
	keyEnd    uint64 // all keys are below it
	// checkValue returns what is wrong with a value. It may be nil.
	checkValue func([]byte) error
}

// span is the range of keys from begin on, before end.
type span struct{ begin, end uint64 }

// item is a result of a walk: an entry, or damage in the place of entries.
type item struct {
	key    uint64 // of damage: the first lost key in the range of the walk
	value  []byte // must not be written to
	damage *DamageError
}

// damaged is a DamageError of the tree.
func (t *tree) damaged(block uint64, keys span, err error) *DamageError {
	return &DamageError{Tree: t.name, Device: t.device, Block: block, KeyBegin: keys.begin, KeyEnd: keys.end, Err: err}
}

// walk lists the entries of the tree in a range of keys, in rising order. An error is the
// context's, and ends the list.
func (v *View) walk(ctx context.Context, t *tree, keys span) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) { v.each(ctx, t, keys, yield) }
}

func (v *View) each(ctx context.Context, t *tree, keys span, yield func(item, error) bool) {
	keys.end = min(keys.end, t.keyEnd)
	if keys.begin >= keys.end {
		return
	}
	w := walker{v: v, tree: t, keys: keys}
	if _, err := w.subtree(ctx, t.root, span{0, t.keyEnd}, yield); err != nil {
		yield(item{}, err)
	}
}

// lookup finds the value of a key. Damage there is the error.
func (v *View) lookup(ctx context.Context, t *tree, key uint64) (value []byte, found bool, err error) {
	if key >= t.keyEnd {
		return nil, false, nil
	}
	w := walker{v: v, tree: t}
	block, within := t.root, span{0, t.keyEnd}
	for {
		n, err := w.load(ctx, block, within)
		if err != nil {
			return nil, false, w.failed(ctx, block, within, err)
		}
		i := n.search(key)
		here := i < n.nr && n.key(i) == key
		switch {
		case n.leaf && !here:
			return nil, false, nil
		case n.leaf:
			value := n.value(i)
			if t.checkValue != nil {
				if err := t.checkValue(value); err != nil {
					return nil, false, t.damaged(block, span{key, key + 1}, err)
				}
			}
			return value, true, nil
		case !here && i == 0:
			return nil, false, nil
		case !here:
			i--
		}
		w.enter(block)
		block, within = n.child(i, within)
	}
}

// highest is the last key in the tree. Damage on the path to it is the error.
func (v *View) highest(ctx context.Context, t *tree) (key uint64, found bool, err error) {
	w := walker{v: v, tree: t}
	block, within := t.root, span{0, t.keyEnd}
	for {
		n, err := w.load(ctx, block, within)
		switch {
		case err != nil:
			return 0, false, w.failed(ctx, block, within, err)
		case n.leaf && n.nr == 0:
			return 0, false, nil
		case n.leaf:
			return n.key(n.nr - 1), true, nil
		}
		w.enter(block)
		block, within = n.child(n.nr-1, within)
	}
}

// walker is a walk under way.
type walker struct {
	v     *View
	tree  *tree
	keys  span
	path  [maxDepth]uint64 // the blocks from the root to the current node
	depth int              // the number of blocks in path
}

// enter goes down into a block. leave goes back up.
func (w *walker) enter(block uint64) {
	w.path[w.depth] = block
	w.depth++
}

func (w *walker) leave() { w.depth-- }

// failed is the error of a walk that ends at a block: the context's, or damage.
func (w *walker) failed(ctx context.Context, block uint64, within span, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return w.tree.damaged(block, within, err)
}

// subtree walks the tree below a block, whose keys must be within a range. yield is an
// argument, not a field: so what the caller's function captures need not be allocated.
func (w *walker) subtree(ctx context.Context, block uint64, within span, yield func(item, error) bool) (more bool, err error) {
	n, err := w.load(ctx, block, within)
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case err != nil:
		return yield(item{key: max(within.begin, w.keys.begin), damage: w.tree.damaged(block, within, err)}, nil), nil
	case n.leaf:
		return w.leaf(block, n, yield), nil
	}
	i := n.search(w.keys.begin)
	if i > 0 && (i == n.nr || n.key(i) > w.keys.begin) {
		i--
	}
	w.enter(block)
	for ; i < n.nr && n.key(i) < w.keys.end; i++ {
		child, part := n.child(i, within)
		if more, err := w.subtree(ctx, child, part, yield); !more || err != nil {
			return false, err
		}
	}
	w.leave()
	return true, nil
}

func (w *walker) leaf(block uint64, n node, yield func(item, error) bool) (more bool) {
	for i := n.search(w.keys.begin); i < n.nr && n.key(i) < w.keys.end; i++ {
		it := item{key: n.key(i), value: n.value(i)}
		if w.tree.checkValue != nil {
			if err := w.tree.checkValue(it.value); err != nil {
				it = item{key: it.key, damage: w.tree.damaged(block, span{it.key, it.key + 1}, err)}
			}
		}
		if !yield(it, nil) {
			return false
		}
	}
	return true
}

// child is child i of an internal node, and the range that the child's keys must be within.
// within is the range of the node.
func (n node) child(i int, within span) (block uint64, keys span) {
	keys = span{n.key(i), within.end}
	if i+1 < n.nr {
		keys.end = n.key(i + 1)
	}
	return le.Uint64(n.value(i)), keys
}

// load returns the node in a block, if it is valid at this place of the tree.
func (w *walker) load(ctx context.Context, block uint64, within span) (node, error) {
	if err := ctx.Err(); err != nil {
		return node{}, err
	}
	if w.depth == maxDepth {
		return node{}, fmt.Errorf("deeper than %d nodes", maxDepth)
	}
	if slices.Contains(w.path[:w.depth], block) {
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
	case n.nr == 0 && w.depth > 0:
		return n, errors.New("empty, and not the root")
	case n.nr > 0 && n.key(0) < within.begin:
		return n, fmt.Errorf("key %d is below %d, the first key that belongs here", n.key(0), within.begin)
	case n.nr > 0 && n.key(n.nr-1) >= within.end:
		return n, fmt.Errorf("key %d is not below %d, where the keys that belong here end", n.key(n.nr-1), within.end)
	}
	return n, nil
}
