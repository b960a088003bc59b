package fusefs

import (
	"sync"

	"thintree/fusefs/tree"
)

// handles are the open files, by the numbers that the kernel has for them. A number is
// never used again. Its methods may be called concurrently.
type handles struct {
	mu   sync.RWMutex
	open map[uint64]*tree.File // guarded by mu
	last uint64                // guarded by mu
}

func (h *handles) add(f *tree.File) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open == nil {
		h.open = make(map[uint64]*tree.File)
	}
	h.last++
	h.open[h.last] = f
	return h.last
}

func (h *handles) get(fh uint64) (*tree.File, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	f, ok := h.open[fh]
	return f, ok
}

func (h *handles) remove(fh uint64) (*tree.File, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f, ok := h.open[fh]
	delete(h.open, fh)
	return f, ok
}
