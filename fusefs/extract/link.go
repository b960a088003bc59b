package extract

import (
	"errors"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// link is the copy of a file that has more names in the tree.
type link struct {
	where *destPath
	id    inode
	left  uint32 // number of names that are not copied yet
}

// linked copies one name of a file that has several. The first name is copied as a file.
// Each later one becomes a hard link to it, or a file of its own if that is not possible.
func (c *copier) linked(f *folder, where *destPath, e entry) error {
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

// linkAgain makes a hard link, with a temporary name, to a file that was copied before. It
// is an error if another file has the copy's name now.
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

// find opens a folder of the copy, from the top one on, through no link.
func (c *copier) find(where *destPath) (int, error) {
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
