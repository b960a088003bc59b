package boltcopy

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
)

// The format of a database. Lengths are in bytes.
const (
	headerLen  = 16 // of a page: id, flags, count, overflow
	elementLen = 16 // of an entry in a page's table
	metaLen    = 64 // of the contents of a meta page
	bucketLen  = 16 // of a bucket's header: root, sequence

	magic   = 0xED0CDAED
	version = 2

	branchPageFlag = 0x01
	leafPageFlag   = 0x02
	bucketLeafFlag = 0x01

	minPageLen = 1 << 10
	maxPageLen = 1 << 24
)

var order = binary.NativeEndian

// header is what a page begins with.
type header struct {
	id       uint64
	flags    uint16
	count    uint16 // of elements
	overflow uint32 // how many pages follow that are part of this one
}

func headerOf(page []byte) header {
	return header{order.Uint64(page), order.Uint16(page[8:]), order.Uint16(page[10:]), order.Uint32(page[12:])}
}

// meta is a whole meta page, without the unused rest.
type meta [headerLen + metaLen]byte

func (m *meta) pageLen() int64 { return int64(order.Uint32(m[headerLen+8:])) }
func (m *meta) pgid() uint64   { return order.Uint64(m[headerLen+40:]) } // as many pages are in use
func (m *meta) txid() uint64   { return order.Uint64(m[headerLen+48:]) }

// rootOffset is where in a meta page the id of the tree's root is.
const rootOffset = headerLen + 16

func (m *meta) isValid() bool {
	sum := fnv.New64a()
	sum.Write(m[headerLen : headerLen+56])
	return order.Uint32(m[headerLen:]) == magic && order.Uint32(m[headerLen+4:]) == version &&
		order.Uint64(m[headerLen+56:]) == sum.Sum64()
}

var errNoMeta = errors.New("this is no bbolt database, or both of its meta pages are damaged")

// readMeta reads the newest valid meta page of a database.
func readMeta(f io.ReaderAt) (newest meta, err error) {
	found := false
	at := func(offset int64) (meta, bool) {
		var m meta
		_, err := f.ReadAt(m[:], offset)
		if err != nil || !m.isValid() {
			return meta{}, false
		}
		// The page 1 begins at its own page length.
		return m, offset == 0 || offset == m.pageLen()
	}
	if m, ok := at(0); ok {
		newest, found = m, true
	}
	for pageLen := int64(minPageLen); pageLen <= maxPageLen; pageLen *= 2 {
		switch m, ok := at(pageLen); {
		case !ok:
		case !found:
			return m, nil
		case m.pageLen() == newest.pageLen() && m.txid() > newest.txid():
			return m, nil
		}
	}
	pageLen := newest.pageLen()
	if !found || pageLen < minPageLen || pageLen > maxPageLen || pageLen&(pageLen-1) != 0 {
		return meta{}, errNoMeta
	}
	return newest, nil
}
