package tree

import "thintree/volfs"

// Backed calls use with the descriptor of the kernel's file that this one's bytes are of,
// so that the kernel can read it past this tree. It is false, and nothing is called, if
// there is none: this process reads the volume, or somebody may be writing to it, or its
// pool is active for an owner who must get a turn. The descriptor is open until use
// returns.
//
// What ReadAt looks at each time is looked at by [Tree.Open] alone then: whether
// the volume is still what it was. Nobody can write to it through what the kernel
// has mounted for the tree, and nobody had it active when it was opened; who
// activates it afterwards and writes to it changes what is read of an open file
// and was not cached.
func (f *File) Backed(use func(fd int)) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	b, ok := f.bytes.(interface{ Fd() uintptr })
	if !ok || !f.Kept || f.closed || f.from == nil || f.from.takesTurns() {
		return false
	}
	used, _ := f.from.use(func(volfs.FS) error {
		use(int(b.Fd()))
		return nil
	})
	return used
}

// Pass says that the kernel reads the file past the tree from now on, so that
// nothing can end that before it is closed. It is false where the file's volume is
// being closed by [Tree.Evict], or was: then that must not begin.
func (f *File) Pass() bool { return f.lease != nil && f.tree.leases.pass(f) }
