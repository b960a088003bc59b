package fusefs

import (
	"log/slog"
	"sync"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"thintree/fusefs/tree"
)

// registry is a kernel that registers backing files, or fails with an error.
type registry struct {
	err syscall.Errno

	mu         sync.Mutex
	registered map[int32]bool // guarded by mu
}

func (r *registry) RegisterBackingFd(*fuse.BackingMap) (int32, syscall.Errno) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != 0 {
		return -1, r.err
	}
	id := int32(len(r.registered) + 1)
	r.registered[id] = true
	return id, 0
}

func (r *registry) UnregisterBackingFd(id int32) syscall.Errno {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.registered[id] {
		return syscall.ENOENT
	}
	r.registered[id] = false
	return 0
}

func TestKernelWithoutPassthroughIsFoundByATrial(t *testing.T) {
	t.Parallel()
	for _, err := range []syscall.Errno{0, syscall.EPERM, syscall.ENOTTY} {
		r := &registry{err: err, registered: map[int32]bool{}}
		p := newPassthrough(r, slog.New(slog.DiscardHandler))
		if got := p.kernel != nil; got != (err == 0) {
			t.Errorf("%v: it passes files through: %v", err, got)
		}
		for id, left := range r.registered {
			if left {
				t.Errorf("%v: backing file %d of the trial stays registered", err, id)
			}
		}
	}
}

func TestFileWithoutABackingFileIsLeftToTheCache(t *testing.T) {
	t.Parallel()
	p := newPassthrough(&registry{registered: map[int32]bool{}}, slog.New(slog.DiscardHandler))
	const node = tree.NodeID(7)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if id, err := p.open(node, &tree.File{}, 0); id != 0 || err != nil {
					t.Errorf("id %d, %v", id, err)
				}
				p.release(node)
			}
		})
	}
	wg.Wait()
	if len(p.nodes) != 0 {
		t.Errorf("%d nodes are left open", len(p.nodes))
	}
}
