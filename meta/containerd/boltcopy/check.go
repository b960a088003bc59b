package boltcopy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// maxDepth bounds the pages on the way from the root of the tree to a key, through buckets
// in buckets. Real trees have less than 20.
const maxDepth = 64

// checker checks the tree of a database, and cuts off what is damaged. It works in time
// and memory that are bounded by the file's length, because no page and no byte of one is used
// twice.
type checker struct {
	ctx     context.Context
	data    []byte      // all pages
	pageLen int         // bytes
	file    io.WriterAt // the same pages
	spare   uint64      // the id of the empty page
	used    []bool      // by page

	damaged int
	first   error // why the first damaged page is so
}

// check checks the page that the reference at offset leads to, and all below it. If the page
// is damaged, check makes the reference lead to the empty page. Keys of the page must be at
// least low, and less than high if that is not nil.
//
// The error is about the copy or the context, not about damage.
func (c *checker) check(offset, depth int, low, high []byte) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	id := order.Uint64(c.data[offset:])
	page, err := c.page(id)
	if err == nil && depth > maxDepth {
		err = errors.New("too many pages lead to it")
	}
	var e elements
	if err == nil {
		e, err = elementsOf(page, low, high)
	}
	if err != nil {
		return c.cut(offset, fmt.Errorf("page %d: %w", id, err))
	}
	start := int(id) * c.pageLen
	for i, key := range e.keys {
		at := start + e.values[i].start
		switch {
		case e.branch:
			next := high
			if i+1 < len(e.keys) {
				next = e.keys[i+1]
			}
			err = c.check(at, depth+1, key, next)
		case !e.values[i].bucket:
		case order.Uint64(c.data[at:]) != 0:
			err = c.check(at, depth+1, nil, nil)
		default:
			if inner := checkInline(c.data[at+bucketLen : start+e.values[i].end]); inner != nil {
				err = c.cut(at, fmt.Errorf("page %d: the bucket %.80q: %w", id, key, inner))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkInline checks the page of a bucket that is kept in the value itself.
func checkInline(page []byte) error {
	e, err := elementsOf(page, nil, nil)
	switch {
	case err != nil:
		return err
	case e.branch:
		return errors.New("a page in a value has pages below it")
	}
	for _, v := range e.values {
		if v.bucket {
			return errors.New("a page in a value has a bucket in it")
		}
	}
	return nil
}

// page returns a page with those that overflow from it, and marks them as used.
func (c *checker) page(id uint64) ([]byte, error) {
	if id < 2 || id >= uint64(len(c.used)) {
		return nil, fmt.Errorf("the file's pages are 2 to %d", len(c.used)-1)
	}
	h := headerOf(c.data[int(id)*c.pageLen:])
	end := id + uint64(h.overflow) + 1
	switch {
	case h.id != id:
		return nil, fmt.Errorf("it says that it is the page %d", h.id)
	case end > uint64(len(c.used)):
		return nil, errors.New("it is longer than the file")
	}
	for i := id; i < end; i++ {
		if c.used[i] {
			return nil, errors.New("the tree refers to this page twice")
		}
	}
	for i := id; i < end; i++ {
		c.used[i] = true
	}
	return c.data[int(id)*c.pageLen : int(end)*c.pageLen], nil
}

// cut makes the reference at offset lead to the empty page. why is what is wrong with the
// page that it led to.
func (c *checker) cut(offset int, why error) error {
	if c.damaged++; c.damaged == 1 {
		c.first = why
	}
	_, err := c.file.WriteAt(order.AppendUint64(nil, c.spare), int64(offset))
	return err
}

// elements are the contents of a page.
type elements struct {
	branch bool // there are pages below it
	keys   [][]byte
	values []value
}

// value is what a key leads to. Offsets are in bytes from the start of the page. In a branch page
// the value begins with the id of the page below; as does that of a bucket, whose id is 0
// if the page is in the value itself.
type value struct {
	start, end int
	bucket     bool
}

// elementsOf checks the elements of a page, with keys from low to less than high, if that is
// not nil.
func elementsOf(page []byte, low, high []byte) (elements, error) {
	h := headerOf(page)
	e := elements{branch: h.flags == branchPageFlag}
	count := int(h.count)
	// The elements' bytes follow the table in the order of the keys.
	end := uint64(headerLen + count*elementLen)
	switch {
	case h.flags != branchPageFlag && h.flags != leafPageFlag:
		return elements{}, fmt.Errorf("its flags are %#x", h.flags)
	case e.branch && count == 0:
		return elements{}, errors.New("it has no pages below it")
	case end > uint64(len(page)):
		return elements{}, fmt.Errorf("it is too short for its %d elements", count)
	}
	e.keys, e.values = make([][]byte, count), make([]value, count)
	for i := range count {
		at := headerLen + i*elementLen
		element := page[at : at+elementLen]
		var pos, keyLen, valueLen uint32
		v := value{start: at + 8}
		if e.branch {
			pos, keyLen = order.Uint32(element), order.Uint32(element[4:])
		} else {
			pos, keyLen, valueLen = order.Uint32(element[4:]), order.Uint32(element[8:]), order.Uint32(element[12:])
		}
		start := uint64(at) + uint64(pos)
		valueStart := start + uint64(keyLen)
		valueEnd := valueStart + uint64(valueLen)
		if start < end || valueEnd > uint64(len(page)) {
			return elements{}, fmt.Errorf("its element %d is not within it", i)
		}
		end = valueEnd
		key := page[start:valueStart]
		inOrder := bytes.Compare(low, key) < 0
		if i == 0 {
			inOrder = bytes.Compare(low, key) <= 0
		}
		if !inOrder || high != nil && bytes.Compare(key, high) >= 0 {
			return elements{}, fmt.Errorf("its key %d is not in order", i)
		}
		low = key
		if !e.branch {
			flags := order.Uint32(element)
			v = value{int(valueStart), int(valueEnd), flags == bucketLeafFlag}
			switch {
			case flags > bucketLeafFlag:
				return elements{}, fmt.Errorf("the flags of its element %d are %#x", i, flags)
			case v.bucket && (valueLen < bucketLen || order.Uint64(page[valueStart:]) == 0 && valueLen < bucketLen+headerLen):
				return elements{}, fmt.Errorf("its element %d is too short for a bucket", i)
			}
		}
		e.keys[i], e.values[i] = key, v
	}
	return e, nil
}
