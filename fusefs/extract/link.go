package extract

import (
	"errors"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// link is a file that has other names in the tree, which may come yet.
type link struct {
	where *place
	id    inode
	left  uint32 // names that did not come yet
}

// linked copies one name of a file that has several. It is a new name of the copy
// that was made for an earlier one, if that can be.
func (c *copier) linked(f *folder, where *place, e entry) error {
	l := c.links[e.ID]
	if l == nil {
		id, err := c.file(f, where, e)
		if err == nil && id != (inode{}) {
			c.links[e.ID] = &link{where, id, e.Attr.Nlink - 1}
		}
		return err
	}
	if l.left--; l.left == 0 {
		delete(c.links, e.ID)
	}
	if err := f.mayBecome(e.name); err != nil {
		c.advance(fileBytes(e.Entry))
		return err
	}
	tmp := temporaryName()
	if err := c.linkAgain(l, f, tmp); err != nil {
		c.lose(loss{where, "hard link to " + l.where.String(), hardLinks, unix.CAP_FOWNER}, err)
		_, err := c.file(f, where, e)
		return err
	}
	c.advance(fileBytes(e.Entry))
	_, err := f.commit(tmp, e.name)
	if err != nil {
		err = errors.Join(err, f.remove(tmp, 0))
	}
	return err
}

// linkAgain makes a temporary name of a copy that was made before, and makes sure
// that it is of that and not of what has its name by now.
func (c *copier) linkAgain(l *link, f *folder, tmp string) error {
	dir, err := c.find(l.where.up)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if err := unix.Linkat(dir, l.where.name, f.fd, tmp, 0); err != nil {
		return err
	}
	st, err := f.stat(tmp)
	if err == nil && inodeOf(st) != l.id {
		err = syscall.ESTALE
	}
	if err != nil {
		err = errors.Join(err, f.remove(tmp, 0))
	}
	return err
}

// find opens a folder of the copy from the one that all of it is in, through no
// link.
func (c *copier) find(where *place) (int, error) {
	var names []string
	for ; where.up != nil; where = where.up {
		names = append(names, where.name)
	}
	fd, err := openat(c.stack[0].fd, ".", unix.O_PATH|unix.O_DIRECTORY, 0)
	for _, name := range slices.Backward(names) {
		if err == nil {
			err = c.ctx.Err()
		}
		if err != nil {
			break
		}
		up := fd
		fd, err = openat(up, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		unix.Close(up)
	}
	return fd, err
}
