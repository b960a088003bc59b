package tree

// Backed calls use with the descriptor of the kernel's file that this one's bytes
// are of, for who has the kernel read it past this tree. It is false, and nothing
// is called, where there is none: where this process reads the volume, or where
// somebody may be writing to it. The descriptor is open until use returns.
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
	if !ok || !f.Kept || f.closed {
		return false
	}
	use(int(b.Fd()))
	return true
}

// Pass says that the kernel reads the file past the tree from now on, so that
// nothing can end that before it is closed. It is false where the file's volume is
// being closed by [Tree.Evict], or was: then that must not begin.
func (f *File) Pass() bool { return f.lease != nil && f.tree.leases.pass(f) }
