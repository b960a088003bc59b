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

// registrar registers backing files with a FUSE connection. A *[fuse.Server] is one.
type registrar interface {
	RegisterBackingFd(*fuse.BackingMap) (int32, syscall.Errno)
	UnregisterBackingFd(id int32) syscall.Errno
}

// passthrough is FUSE passthrough: the kernel reads a node from a backing file, a file
// that it has mounted for the tree, and asks this process for nothing. Linux 6.9 and
// later can do that, for root.
//
// The kernel opens a node in one mode at a time: all its handles by one backing file, or
// all by the page cache. A handle in the other mode fails with EIO. So the first handle
// of a node decides for all others, until the last one is released. The kernel has closed
// a handle when it sends RELEASE, so the count here is never below the kernel's.
type passthrough struct {
	kernel registrar // nil if the kernel cannot do it
	log    *slog.Logger

	mu    sync.Mutex
	nodes map[tree.NodeID]*nodeMode // those that are open; guarded by mu
}

// nodeMode is the mode in which a node is open.
type nodeMode struct {
	handles  int // guarded by passthrough.mu
	register sync.Once
	backing  int32 // id of the backing file, 0 for the page cache; set by register
}

// newPassthrough finds out, by a file in memory, whether the kernel can do it.
func newPassthrough(kernel registrar, log *slog.Logger) *passthrough {
	p := &passthrough{log: log, nodes: make(map[tree.NodeID]*nodeMode)}
	if err := try(kernel); err != nil {
		log.Debug("the kernel passes no files through", "reason", err)
		return p
	}
	log.Debug("the kernel passes files through")
	p.kernel = kernel
	return p
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

// open counts a handle of a node, and returns the id of the node's backing file, or 0 if
// the kernel has to ask this process. flags are open(2)'s. After an error the handle is
// not counted.
func (p *passthrough) open(node tree.NodeID, f *tree.File, flags uint32) (backing int32, err error) {
	if p.kernel == nil {
		return 0, nil
	}
	p.mu.Lock()
	mode := p.nodes[node]
	if mode == nil {
		mode = &nodeMode{}
		p.nodes[node] = mode
	}
	mode.handles++
	p.mu.Unlock()
	// The kernel opens the backing file with the handle's flags, and not every filesystem
	// has O_DIRECT.
	direct := flags&unix.O_DIRECT != 0
	mode.register.Do(func() {
		if !direct || opensDirect(f) {
			mode.backing = p.register(f)
		}
	})
	switch {
	case mode.backing == 0:
		return 0, nil
	case direct && !opensDirect(f):
		err = fmt.Errorf("O_DIRECT: its filesystem does not support it, and the file is already open without it: %w", syscall.EINVAL)
	case !f.PassThrough():
		err = fmt.Errorf("its volume was unmounted: %w", syscall.ESTALE)
	default:
		return mode.backing, nil
	}
	p.release(node)
	return 0, err
}

// register registers a file's backing file. It returns 0 if there is none, or the kernel
// refuses it.
func (p *passthrough) register(f *tree.File) (id int32) {
	f.Descriptor(func(fd int) {
		var errno syscall.Errno
		if id, errno = p.kernel.RegisterBackingFd(&fuse.BackingMap{Fd: int32(fd)}); errno != 0 {
			p.log.Debug("a file is not passed through", "reason", errno)
			id = 0
		}
	})
	return id
}

// opensDirect reports whether a file's backing file can be opened with O_DIRECT.
func opensDirect(f *tree.File) (ok bool) {
	f.Descriptor(func(fd int) {
		again, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
		if ok = err == nil; ok {
			unix.Close(again)
		}
	})
	return ok
}

// release takes back a handle that open has counted. With the last handle of a node, its
// backing file is unregistered.
func (p *passthrough) release(node tree.NodeID) {
	if p.kernel == nil {
		return
	}
	p.mu.Lock()
	mode := p.nodes[node]
	mode.handles--
	last := mode.handles == 0
	if last {
		delete(p.nodes, node)
	}
	p.mu.Unlock()
	if !last || mode.backing == 0 {
		return
	}
	if errno := p.kernel.UnregisterBackingFd(mode.backing); errno != 0 {
		p.log.Warn("the kernel keeps a file that was passed through", "error", errno)
	}
}
