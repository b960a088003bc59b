package pdata

import (
	"errors"
	"fmt"
	"sort"
)

const (
	nodeHeaderBytes = 32
	flagInternal    = 1
	flagLeaf        = 2
	childBytes      = 8 // the length of a value in an internal node: a block number
)

// node is a verified btree node: struct btree_node of dm-btree-internal.h.
type node struct {
	p         []byte // the block
	leaf      bool
	nr        int // entries
	max       int
	valueSize int // bytes
}

func parseNode(p []byte) node {
	return node{
		p:    p,
		leaf: le.Uint32(p[4:]) == flagLeaf, nr: int(le.Uint32(p[16:])), max: int(le.Uint32(p[20:])),
		valueSize: int(le.Uint32(p[24:])),
	}
}

func (n node) key(i int) uint64 { return le.Uint64(n.p[nodeHeaderBytes+8*i:]) }

func (n node) value(i int) []byte {
	at := nodeHeaderBytes + 8*n.max + n.valueSize*i
	return n.p[at : at+n.valueSize : at+n.valueSize]
}

// search is the index of the first key ≥ key, n.nr if there is none.
func (n node) search(key uint64) int {
	return sort.Search(n.nr, func(i int) bool { return n.key(i) >= key })
}

// checkNode verifies a node as far as possible without its tree.
func checkNode(p []byte) error {
	flags, nr, maxEntries, valueSize := le.Uint32(p[4:]), le.Uint32(p[16:]), le.Uint32(p[20:]), le.Uint32(p[24:])
	switch {
	case flags != flagInternal && flags != flagLeaf:
		return fmt.Errorf("flags %#x are no node's", flags)
	case uint64(maxEntries)*(8+uint64(valueSize)) > BlockBytes-nodeHeaderBytes:
		return fmt.Errorf("room for %d entries with values of %d bytes does not fit in a block", maxEntries, valueSize)
	case maxEntries%3 != 0:
		return fmt.Errorf("room for %d entries, which is no multiple of 3", maxEntries)
	case nr > maxEntries:
		return fmt.Errorf("%d entries with room for %d", nr, maxEntries)
	case flags == flagInternal && nr == 0:
		return errors.New("no children")
	case flags == flagInternal && valueSize != childBytes:
		return fmt.Errorf("children of %d bytes", valueSize)
	}
	n := parseNode(p)
	for i := 1; i < n.nr; i++ {
		if n.key(i) <= n.key(i-1) {
			return fmt.Errorf("key %d follows key %d", n.key(i), n.key(i-1))
		}
	}
	return nil
}
