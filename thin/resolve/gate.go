package resolve

import (
	"sync"

	"golang.org/x/sys/unix"
)

// mount identifies a mount.
type mount struct {
	device uint64
	id     uint64
}

// mountOf returns the mount that an open place is in. Since Linux 6.8 the id of a mount is
// never used again.
func mountOf(fd int, device uint64) mount {
	const unique = 0x4000 // STATX_MNT_ID_UNIQUE
	for _, mask := range []int{unique, 0} {
		var st unix.Statx_t
		if unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, mask, &st) == nil {
			return mount{device, st.Mnt_id}
		}
	}
	return mount{device: device}
}

// gate decides which trees this process may enter.
type gate struct {
	mu      sync.Mutex
	sealed  bool           // guarded by mu
	entered map[mount]bool // trees that paths led through before Seal; guarded by mu
}

// trees is the gate of this process.
var trees gate

// Seal forbids this process to enter any tree except those that paths have led through. The
// process calls it before it mounts a tree, after it has read everything that the tree is
// made of.
func Seal() {
	trees.mu.Lock()
	defer trees.mu.Unlock()
	trees.sealed = true
}

// mayEnter reports whether the process may look up something in a tree.
func (g *gate) mayEnter(m mount) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.sealed {
		if g.entered == nil {
			g.entered = map[mount]bool{}
		}
		g.entered[m] = true
	}
	return g.entered[m]
}
