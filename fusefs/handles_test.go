package fusefs

import (
	"sync"
	"testing"

	"thintree/fusefs/tree"
)

func TestHandlesAreNeverUsedTwice(t *testing.T) {
	t.Parallel()
	var h handles
	var mu sync.Mutex
	seen := make(map[uint64]bool)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				f := &tree.File{}
				fh := h.add(f)
				mu.Lock()
				if seen[fh] || fh == 0 {
					t.Errorf("handle %d again", fh)
				}
				seen[fh] = true
				mu.Unlock()
				if got, ok := h.get(fh); !ok || got != f {
					t.Errorf("handle %d is another file", fh)
				}
				if got, ok := h.remove(fh); !ok || got != f {
					t.Errorf("handle %d is another file when it is closed", fh)
				}
				if _, ok := h.get(fh); ok {
					t.Errorf("handle %d is still open after it was closed", fh)
				}
			}
		})
	}
	wg.Wait()
	if _, ok := h.remove(1); ok || len(h.open) != 0 {
		t.Errorf("%d files are left open", len(h.open))
	}
}
