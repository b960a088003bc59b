package pdata

import (
	"bytes"
	"context"
	"slices"
	"testing"
)

// image is built metadata in memory. It is a Reader.
type image struct {
	p     []byte
	super Superblock
}

func (im *image) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return bytes.NewReader(im.p).ReadAt(p, off)
}

func (im *image) block(n uint64) []byte { return im.p[n*BlockBytes:][:BlockBytes] }

func (im *image) clone() *image { return &image{bytes.Clone(im.p), im.super} }

// flip changes a byte of a block, so that its checksum is wrong.
func (im *image) flip(block uint64, at int) { im.block(block)[at] ^= 0x40 }

// edit changes a block, and sets its checksum.
func (im *image) edit(block uint64, change func(p []byte)) {
	p := im.block(block)
	salts := []uint32{saltSuperblock, saltNode, saltBitmap, saltIndex}
	i := slices.IndexFunc(salts, func(salt uint32) bool { return checkSum(p, salt) == nil })
	change(p)
	le.PutUint32(p, sum(p, salts[i]))
}

// way is the blocks on the path from a root to the leaf that a key belongs in.
func (im *image) way(root, key uint64) []uint64 {
	way := []uint64{root}
	for n := parseNode(im.block(root)); !n.leaf; n = parseNode(im.block(way[len(way)-1])) {
		i := n.search(key + 1)
		way = append(way, le.Uint64(n.value(max(i-1, 0))))
	}
	return way
}

// leafOf is the leaf that a key belongs in.
func (im *image) leafOf(root, key uint64) uint64 {
	way := im.way(root, key)
	return way[len(way)-1]
}

// deviceRoot is the root of a device's mappings.
func (im *image) deviceRoot(id uint32) uint64 {
	n := parseNode(im.block(im.leafOf(im.super.DataMappingRoot, uint64(id))))
	return le.Uint64(n.value(n.search(uint64(id))))
}

func (im *image) open(tb testing.TB, o Options) *Metadata {
	tb.Helper()
	return mustOpen(tb, im, int64(len(im.p)), o)
}

func mustOpen(tb testing.TB, r Reader, size int64, o Options) *Metadata {
	tb.Helper()
	m, err := Open(context.Background(), r, size, o)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}
