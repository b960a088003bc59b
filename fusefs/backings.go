package fusefs

import (
	"fmt"
	"log/slog"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"thintree/fusefs/tree"
)

// registrar registers files with a FUSE connection, by which the kernel then reads
// others. A *[fuse.Server] is one.
type registrar interface {
	RegisterBackingFd(*fuse.BackingMap) (int32, syscall.Errno)
	UnregisterBackingFd(id int32) syscall.Errno
}

// backings passes files through: the kernel reads what it has mounted for the tree
// by itself, without asking here. It can do that since Linux 6.9, for root.
//
// The kernel has a node open in one way at a time: all its handles by one backing
// file, or all in its cache. One that differs from the others fails with EIO. So
// the first handle decides for those that follow, until the last is released. The
// kernel has let go of a handle when it sends RELEASE, so what is counted here is
// never less than what it has.
type backings struct {
	kernel registrar // nil where it does not pass files through
	log    *slog.Logger

	mu   sync.Mutex
	open map[tree.NodeID]*backing // guarded by mu
}

// backing is how a node is open.
type backing struct {
	handles  int // guarded by backings.mu
	register sync.Once
	id       int32 // of the backing file; 0: in the kernel's cache; set by register
}

// newBackings tries whether the kernel passes files through, with one in memory.
func newBackings(kernel registrar, log *slog.Logger) *backings {
	b := &backings{log: log, open: make(map[tree.NodeID]*backing)}
	if err := try(kernel); err != nil {
		log.Debug("the kernel passes no files through", "reason", err)
		return b
	}
	log.Debug("the kernel passes files through")
	b.kernel = kernel
	return b
}

func try(kernel registrar) error {
	fd, err := unix.MemfdCreate("thintree", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("memfd_create: %w", err)
	}
	defer unix.Close(fd)
	id, errno := kernel.RegisterBackingFd(&fuse.BackingMap{Fd: int32(fd)})
	if errno == 0 {
		errno = kernel.UnregisterBackingFd(id)
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// add counts a handle of a node, and gives the id of the backing file that the
// kernel has to read it by, 0 where it is to ask here. flags are open(2)'s. After
// an error nothing is counted.
func (b *backings) add(node tree.NodeID, f *tree.File, flags uint32) (id int32, err error) {
	if b.kernel == nil {
		return 0, nil
	}
	b.mu.Lock()
	n := b.open[node]
	if n == nil {
		n = &backing{}
		b.open[node] = n
	}
	n.handles++
	b.mu.Unlock()
	// Whoever reads past the page cache does it by the backing file too, but the
	// kernel opens that with the same flags, and not every filesystem has this one.
	direct := flags&unix.O_DIRECT != 0
	n.register.Do(func() {
		if !direct || opensDirect(f) {
			n.id = b.registered(f)
		}
	})
	switch {
	case n.id == 0:
		return 0, nil
	case direct && !opensDirect(f):
		err = fmt.Errorf("O_DIRECT: the filesystem has it not, and reads the file for others already: %w", syscall.EINVAL)
	case !f.PassThrough():
		err = fmt.Errorf("its volume was unmounted: %w", syscall.ESTALE)
	default:
		return n.id, nil
	}
	b.remove(node)
	return 0, err
}

// registered gives the id of a file's backing, 0 where it has none, or the kernel
// does not take it.
func (b *backings) registered(f *tree.File) (id int32) {
	f.Descriptor(func(fd int) {
		var errno syscall.Errno
		if id, errno = b.kernel.RegisterBackingFd(&fuse.BackingMap{Fd: int32(fd)}); errno != 0 {
			b.log.Debug("a file is not passed through", "reason", errno)
			id = 0
		}
	})
	return id
}

// opensDirect tells whether a file's backing can be opened with O_DIRECT.
func opensDirect(f *tree.File) (ok bool) {
	f.Descriptor(func(fd int) {
		again, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
		if ok = err == nil; ok {
			unix.Close(again)
		}
	})
	return ok
}

// remove takes a handle back that add has counted. With the last one the kernel is
// told to let go of the backing file.
func (b *backings) remove(node tree.NodeID) {
	if b.kernel == nil {
		return
	}
	b.mu.Lock()
	n := b.open[node]
	n.handles--
	last := n.handles == 0
	if last {
		delete(b.open, node)
	}
	b.mu.Unlock()
	if !last || n.id == 0 {
		return
	}
	if errno := b.kernel.UnregisterBackingFd(n.id); errno != 0 {
		b.log.Warn("the kernel keeps a file that was passed through", "error", errno)
	}
}
