package fusefs

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"thintree/fusefs/tree"
)

// errKilled says that a request is answered because its caller is about to end.
var errKilled = fmt.Errorf("its caller was killed: %w", syscall.EINTR)

// How often a request that takes long is looked at: whether its caller was killed, and
// whether its volume's pool is suspended.
const (
	killLook    = 100 * time.Millisecond
	suspendLook = time.Second
)

// await gives what work does for a request. If the kernel may make the work wait, as a
// suspended pool does, the request does not wait for it longer than its caller lives, and
// not longer than the tree's OpenTimeout while the pool is suspended. Until the request is
// answered its caller cannot end, whatever kills it. The work goes on then, so it must touch
// nothing of the request; what it gives is closed, if it can be.
func await[T any](s *server, h *fuse.InHeader, cancel <-chan struct{}, work func(context.Context) (T, error)) (T, error) {
	node, thread := tree.NodeID(h.NodeId), h.Pid
	if !s.tree.MayStall(node) {
		return work(request{cancel})
	}
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := work(request{cancel})
		done <- outcome{value, err}
	}()
	abandon := func(err error) (T, error) {
		go func() {
			if opened, ok := any((<-done).value).(*tree.File); ok && opened != nil {
				opened.Close()
			}
		}()
		return *new(T), err
	}
	suspended := time.NewTimer(max(s.tree.OpenTimeout(), suspendLook))
	defer suspended.Stop()
	var killed <-chan time.Time
	for {
		select {
		case o := <-done:
			return o.value, o.err
		case <-cancel: // by a signal, which need not be a deadly one
			cancel = nil
			ticker := time.NewTicker(killLook)
			defer ticker.Stop()
			killed = ticker.C
			if dying(thread) {
				return abandon(errKilled)
			}
		case <-killed:
			if dying(thread) {
				return abandon(errKilled)
			}
		case <-suspended.C:
			if err := s.tree.Suspended(context.Background(), node); err != nil {
				return abandon(err)
			}
			suspended.Reset(suspendLook)
		}
	}
}

// awaited is await of work that gives nothing but an error.
func awaited(s *server, h *fuse.InHeader, cancel <-chan struct{}, work func(context.Context) error) error {
	_, err := await(s, h, cancel, func(ctx context.Context) (struct{}, error) { return struct{}{}, work(ctx) })
	return err
}

// buffer is what a read fills, and the kernel is given.
type buffer struct {
	bytes []byte
	whole []byte
	pool  *sync.Pool
}

// buffer is one of a length in bytes.
func (s *server) buffer(length int) *buffer {
	b, ok := s.buffers.Get().(*buffer)
	if !ok || cap(b.whole) < length {
		b = &buffer{whole: make([]byte, length), pool: &s.buffers}
	}
	b.bytes = b.whole[:length]
	return b
}

// Bytes are what was read.
func (b *buffer) Bytes([]byte) ([]byte, fuse.Status) { return b.bytes, fuse.OK }

// Size is how many bytes were read.
func (b *buffer) Size() int { return len(b.bytes) }

// Done is called once the kernel has got them.
func (b *buffer) Done() { b.pool.Put(b) }
