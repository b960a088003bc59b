package fusefs

import (
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// buffer is memory for a read that may go on after its request was answered. It is a
// [fuse.ReadResult], and goes back to its pool when the kernel has copied the bytes.
type buffer struct {
	bytes []byte // the read's part of whole
	whole []byte
	pool  *sync.Pool
}

// buffer returns a buffer of a length in bytes.
func (s *server) buffer(length int) *buffer {
	b, ok := s.buffers.Get().(*buffer)
	if !ok || cap(b.whole) < length {
		b = &buffer{whole: make([]byte, length), pool: &s.buffers}
	}
	b.bytes = b.whole[:length]
	return b
}

// Bytes returns what was read.
func (b *buffer) Bytes([]byte) ([]byte, fuse.Status) { return b.bytes, fuse.OK }

// Size is the number of bytes that were read.
func (b *buffer) Size() int { return len(b.bytes) }

// Done puts the buffer back into its pool.
func (b *buffer) Done() { b.pool.Put(b) }
