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

// While a request waits, these are the times between two looks at its caller, and between
// two looks at its pool.
const (
	killedInterval    = 100 * time.Millisecond
	suspendedInterval = time.Second
)

// await returns what work returns for a request. A caller cannot end before its request
// is answered, not even by SIGKILL. So if the work may wait in the kernel, as for a
// suspended pool, await returns early: if the caller was killed, or if the pool has been
// suspended for the tree's OpenTimeout. The context of the work is done then. What waits in
// the kernel goes on all the same, so the work must not use the request's memory. If it
// returns a file, that is closed.
func await[T any](s *server, h *fuse.InHeader, cancel <-chan struct{}, work func(context.Context) (T, error)) (T, error) {
	if !s.tree.MayStall(tree.NodeID(h.NodeId)) {
		return work(request{cancel})
	}
	var value T
	var err error
	ctx, end := context.WithCancel(request{cancel})
	defer end()
	done := make(chan struct{})
	go func() {
		defer close(done)
		value, err = work(ctx)
	}()
	if early := s.wait(h, cancel, done); early != nil {
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

// wait waits until the work for a request is done. It returns an error if the request has
// to be answered before that.
func (s *server) wait(h *fuse.InHeader, cancel, done <-chan struct{}) error {
	suspended := time.NewTimer(max(s.tree.OpenTimeout(), suspendedInterval))
	defer suspended.Stop()
	var killed <-chan time.Time // nil until the request is interrupted
	for {
		select {
		case <-done:
			return nil
		case <-cancel: // by a signal, which need not end the caller
			cancel = nil
			ticker := time.NewTicker(killedInterval)
			defer ticker.Stop()
			killed = ticker.C
			if dying(h.Pid) {
				return errKilled
			}
		case <-killed:
			if dying(h.Pid) {
				return errKilled
			}
		case <-suspended.C:
			if err := s.tree.Suspended(context.Background(), tree.NodeID(h.NodeId)); err != nil {
				return err
			}
			suspended.Reset(suspendedInterval)
		}
	}
}

// awaited is await for work that returns only an error.
func awaited(s *server, h *fuse.InHeader, cancel <-chan struct{}, work func(context.Context) error) error {
	_, err := await(s, h, cancel, func(ctx context.Context) (struct{}, error) { return struct{}{}, work(ctx) })
	return err
}
