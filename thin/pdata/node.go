package pdata

import (
	"encoding/binary"
	"fmt"
)

// node is a checked btree node: struct btree_node.
type node struct {
	b        []byte
	internal bool
	n        int // entries
	max      int // entries that there is room for
	size     int // of a value, in bytes
}

const nodeHeader = 32

func (n *node) key(i int) uint64   { return binary.LittleEndian.Uint64(n.b[nodeHeader+8*i:]) }
func (n *node) value(i int) []byte { return n.b[nodeHeader+8*n.max+i*n.size:][:n.size] }
func (n *node) child(i int) uint64 { return binary.LittleEndian.Uint64(n.value(i)) }

// parseNode checks a node's bytes, of a tree whose leaves hold values of size
// bytes. What is wrong is said in words.
func parseNode(b []byte, at uint64, size int) (*node, string) {
	le := binary.LittleEndian
	if want, got := checksum(b, nodeSalt), le.Uint32(b); got != want {
		return nil, fmt.Sprintf("checksum %#08x instead of %#08x", got, want)
	}
	if where := le.Uint64(b[8:]); where != at {
		return nil, fmt.Sprintf("it says that it is block %d", where)
	}
	n := &node{b: b}
	switch flags := le.Uint32(b[4:]); flags {
	case 1:
		n.internal, size = true, 8
	case 2:
	default:
		return nil, fmt.Sprintf("flags %#x of neither an internal node nor a leaf", flags)
	}
	entries, most, bytes := le.Uint32(b[16:]), le.Uint32(b[20:]), le.Uint32(b[24:])
	if bytes != uint32(size) {
		return nil, fmt.Sprintf("values of %d bytes instead of %d", bytes, size)
	}
	if most%3 != 0 || nodeHeader+uint64(most)*uint64(8+size) > BlockBytes {
		return nil, fmt.Sprintf("room for %d entries", most)
	}
	if entries > most {
		return nil, fmt.Sprintf("%d entries, but room for %d", entries, most)
	}
	n.n, n.max, n.size = int(entries), int(most), size
	if n.internal && n.n == 0 {
		return nil, "an internal node without entries"
	}
	for i := 1; i < n.n; i++ {
		if n.key(i-1) >= n.key(i) {
			return nil, fmt.Sprintf("keys %d and %d out of order", n.key(i-1), n.key(i))
		}
	}
	return n, ""
}

// search is the last entry with a key ≤ k, -1 where all are higher.
func (n *node) search(k uint64) int {
	lo, hi := 0, n.n
	for lo < hi {
		if mid := (lo + hi) / 2; n.key(mid) <= k {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo - 1
}
