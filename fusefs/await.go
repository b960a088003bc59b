package fusefs

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"thintree/fusefs/tree"
)

// errKilled is the error of a request whose caller is about to end.
var errKilled = fmt.Errorf("its caller was killed: %w", syscall.EINTR)

// killedInterval is the time between two looks at the caller of a request that waits, and until
// the first one.
const killedInterval = 100 * time.Millisecond

// await returns what work returns for a request. A caller cannot end before its request
// is answered, not even by SIGKILL. So if the work may wait in the kernel, as for a
// suspended pool, await returns early: if the caller was killed, or if the pool has been
// suspended for the tree's OpenTimeout. The context of the work is done then. What waits in
// the kernel goes on all the same, so the work must not use the request's memory. If it
// returns a file, that is closed.
func await[T any](s *server, h *fuse.InHeader, cancel <-chan struct{}, work func(context.Context) (T, error)) (T, error) {
	node := tree.NodeID(h.NodeId)
	if !s.tree.MayStall(node) {
		return work(request{cancel})
	}
	var value T
	var err error
	ctx, end := context.WithCancelCause(request{cancel})
	defer end(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		value, err = work(ctx)
	}()
	if soon(done) {
		return value, err
	}
	go func() {
		if killed(h.Pid, cancel, done) {
			end(errKilled)
		}
	}()
	if early := s.tree.Await(ctx, node, done); early != nil {
		go func() {
			<-done
			if opened, ok := any(value).(*tree.File); ok && opened != nil {
				opened.Close()
			}
		}()
		return *new(T), early
	}
	return value, err
}

// soon reports whether the work for a request is done before its caller is looked at.
func soon(done <-chan struct{}) bool {
	timer := time.NewTimer(killedInterval)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// killed waits until the caller of a request is about to end, and reports whether it is. It looks
// at it once the request is interrupted by a signal, which need not end the caller. It ends with
// the work for the request.
func killed(pid uint32, cancel, done <-chan struct{}) bool {
	select {
	case <-done:
		return false
	case <-cancel:
	}
	ticker := time.NewTicker(killedInterval)
	defer ticker.Stop()
	for !dying(pid) {
		select {
		case <-done:
			return false
		case <-ticker.C:
		}
	}
	return true
}

// awaited is await for work that returns only an error.
func awaited(s *server, h *fuse.InHeader, cancel <-chan struct{}, work func(context.Context) error) error {
	_, err := await(s, h, cancel, func(ctx context.Context) (struct{}, error) { return struct{}{}, work(ctx) })
	return err
}
