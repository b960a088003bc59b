package extract

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"thintree/fusefs/tree"
)

// workers is how many files are copied at the same time: some wait for the source's disk
// while others are written.
const workers = 4

// copier makes one copy. One goroutine, the walker, goes from folder to folder. Workers
// copy the files in them.
type copier struct {
	from     source
	log      *slog.Logger
	progress func(int64)

	ctx    context.Context
	cancel context.CancelCauseFunc
	slots  chan struct{} // has an element for each busy worker
	buffer sync.Pool     // of *[chunk]byte

	// Only the walker uses these.
	stack []*folder // from DEST's parent to the folder that is being copied
	seen  map[tree.NodeID]struct{}
	links map[tree.NodeID]*link

	mu     sync.Mutex
	result Result // guarded by mu
}

func newCopier(ctx context.Context, from source, o Options) *copier {
	c := &copier{
		from:     from,
		log:      cmp.Or(o.Log, slog.Default()),
		progress: o.Progress,
		slots:    make(chan struct{}, workers),
		buffer:   sync.Pool{New: func() any { return new([chunk]byte) }},
		seen:     make(map[tree.NodeID]struct{}),
		links:    make(map[tree.NodeID]*link),
	}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	return c
}

// run copies e into the folder at the path dir. It is called once for each copier.
func (c *copier) run(dir string, e entry) error {
	defer c.cancel(nil)
	top, err := openTop(dir)
	if err != nil {
		return err
	}
	c.stack = []*folder{top}
	c.first(top, e)
	for len(c.stack) > 1 && c.ctx.Err() == nil {
		c.step(c.stack[len(c.stack)-1])
	}
	for _, f := range c.stack {
		f.busy.Wait()
		f.close()
		if f.list.dir != nil {
			f.list.dir.Close()
		}
	}
	return context.Cause(c.ctx)
}

// first copies e, or begins it if it is a folder. A folder that cannot be read at all is an
// error of the whole copy.
func (c *copier) first(top *folder, e entry) {
	if !isFolder(e.Attr) {
		c.entry(top, e)
		return
	}
	where := &destPath{top.where, e.name}
	if err := c.enter(top, where, e); err != nil {
		c.cancel(fmt.Errorf("%s: %w", where, err))
	}
}

// step copies the next batch of a folder's entries, or leaves the folder after the last.
func (c *copier) step(f *folder) {
	if !f.more {
		c.done(f.where, c.leave(f))
		return
	}
	entries, more, err := f.list.next(c.ctx)
	f.more = more
	if err != nil {
		f.broken = true
		c.done(f.where, unreadable(fmt.Errorf("the rest of the folder cannot be listed: %w", err)))
	}
	for _, e := range entries {
		c.entry(f, e)
	}
}

// entry copies one entry of a folder, or begins it if it is a folder.
func (c *copier) entry(f *folder, e entry) {
	where := &destPath{up: f.where, name: e.name}
	switch {
	case !validName(e.name):
		c.done(where, unreadable(fmt.Errorf("%q cannot be a file's name", e.name)))
	case e.err != nil:
		c.done(where, unreadable(e.err))
	case isFolder(e.Attr):
		c.done(where, c.enter(f, where, e))
	case e.Attr.Nlink > 1:
		c.done(where, c.linked(f, where, e))
	default:
		select {
		case c.slots <- struct{}{}:
		case <-c.ctx.Done():
			return
		}
		f.busy.Go(func() {
			defer func() { <-c.slots }()
			_, err := c.file(f, where, e)
			c.done(where, err)
		})
	}
}

// done takes the outcome of an entry. An error of the entry alone is counted and logged;
// any other error ends the copy.
func (c *copier) done(where *destPath, err error) {
	switch {
	case err == nil || c.ctx.Err() != nil:
	case leavesOut(err):
		c.count(&c.result.Unreadable)
		c.log.Error("not copied", "path", where.String(), "error", err)
	default:
		c.cancel(fmt.Errorf("%s: %w", where, err))
	}
}

// count adds one to a number of the result, and returns the sum.
func (c *copier) count(n *int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
	return *n
}

// advance reports bytes as progress.
func (c *copier) advance(bytes int64) {
	if c.progress == nil || bytes == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress(bytes)
}

// file copies e, which is not a folder, into f. It returns the copy's inode, which is zero
// if the copy could not be made and was counted as a loss.
func (c *copier) file(f *folder, where *destPath, e entry) (id inode, err error) {
	todo := fileBytes(e.Entry)
	defer func() { c.advance(todo) }()
	if err := f.mayBecome(e.name); err != nil {
		return inode{}, err
	}
	tmp := temporaryName()
	n, err := c.create(f, where, tmp, e)
	if err != nil || n == nil {
		return inode{}, err
	}
	defer func() {
		n.close()
		if err != nil {
			err = errors.Join(err, f.remove(tmp, 0))
		}
	}()
	if file, ok := n.(*openNode); ok {
		done, err := c.content(file, e)
		if todo -= done; err != nil {
			return inode{}, err
		}
	}
	if err := c.attributes(n, where, e.Entry, f.inherits); err != nil {
		return inode{}, err
	}
	return f.commit(tmp, e.name)
}

// create makes the empty copy of e, which is not a folder, under a temporary name. It
// returns nil if that is not possible, and counts the loss.
func (c *copier) create(f *folder, where *destPath, tmp string, e entry) (n node, err error) {
	var l loss
	switch e.Attr.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		return createRegular(f.fd, tmp)
	case syscall.S_IFLNK:
		target, err := c.from.Readlink(c.ctx, e.ID)
		if err == nil && (target == "" || strings.ContainsRune(target, 0)) {
			err = fmt.Errorf("%q cannot be a link's target: %w", target, syscall.EIO)
		}
		if err != nil {
			return nil, unreadable(err)
		}
		l = loss{where, "symbolic link", symlinks, none}
		n, err = createSymlink(target, f.fd, tmp)
		if err == nil || !denied(err) {
			return n, err
		}
	case syscall.S_IFCHR, syscall.S_IFBLK, syscall.S_IFIFO, syscall.S_IFSOCK:
		l = loss{where, "fifo or socket", nodes, none}
		if kind := e.Attr.Mode & syscall.S_IFMT; kind == syscall.S_IFCHR || kind == syscall.S_IFBLK {
			l.what, l.by = "device", unix.CAP_MKNOD
		}
		n, err = createNode(f.fd, tmp, e.Attr)
		if err == nil || !denied(err) {
			return n, err
		}
	default:
		return nil, unreadable(fmt.Errorf("mode %#o: unknown file type: %w", e.Attr.Mode, syscall.EIO))
	}
	c.lose(l, err)
	return nil, nil
}
