package resolve

import (
	"sync"

	"golang.org/x/sys/unix"
)

// mount tells a mount from all others.
type mount struct {
	device uint64
	id     uint64
}

// mountOf is the mount that an open place is in. Kernels since 6.8 give it an id
// that no other ever gets.
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

// guard knows which trees may be entered.
type guard struct {
	mu      sync.Mutex
	sealed  bool           // guarded by mu
	entered map[mount]bool // trees that paths led through before it was sealed; guarded by mu
}

// trees is the guard of this process.
var trees guard

// Seal closes all trees to this process but those that paths led through until
// now. It is called before a tree is mounted, once all that the tree is made of has
// been read.
func Seal() {
	trees.mu.Lock()
	defer trees.mu.Unlock()
	trees.sealed = true
}

// mayEnter reports whether something may be looked up in a tree.
func (g *guard) mayEnter(m mount) bool {
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
