package extract

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxOpen is how many folders are open at the same time. Folders far above the one that is
// being copied are closed, and opened again by "..".
const maxOpen = 64

// enter begins to copy a folder.
func (c *copier) enter(f *folder, where *destPath, e entry) error {
	if _, again := c.seen[e.ID]; again {
		return unreadable(fmt.Errorf("the tree has this folder in another place too: %w", syscall.ELOOP))
	}
	c.seen[e.ID] = struct{}{}
	dir, err := c.from.openDir(c.ctx, e.ID)
	if err != nil {
		return unreadable(err)
	}
	child, err := f.makeFolder(where, e)
	if err != nil {
		dir.Close()
		return err
	}
	child.list = listing{from: c.from, id: e.ID, dir: dir}
	c.stack = append(c.stack, child)
	if i := len(c.stack) - maxOpen; i > 0 {
		c.stack[i].busy.Wait()
		c.stack[i].close()
	}
	return nil
}

// leave ends a folder, the last one of the stack. It gets its attributes, as nothing in it
// changes any more.
func (c *copier) leave(f *folder) error {
	f.busy.Wait()
	if err := c.ctx.Err(); err != nil {
		return err
	}
	c.stack = c.stack[:len(c.stack)-1]
	defer f.list.dir.Close()
	defer f.close()
	up := c.stack[len(c.stack)-1]
	if up.fd < 0 {
		if err := up.reopen(f); err != nil {
			return err
		}
	}
	existed := f.made != nil
	if f.broken && !existed && up.remove(f.from.name, unix.AT_REMOVEDIR) == nil {
		return nil // an empty copy would say that the tree's folder is empty
	}
	return c.attributes(&openNode{f.fd}, f.where, f.from.Entry, existed)
}
