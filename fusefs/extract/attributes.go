package extract

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"thintree/fusefs/tree"
	"thintree/volfs"
)

// The extended attributes that are ACLs.
const (
	accessACL  = "system.posix_acl_access"
	defaultACL = "system.posix_acl_default"
)

// attributes sets a copy's attributes, in the order that the package's comment explains.
// inherits is whether the copy may have inherited ACLs. Attributes that cannot be set are
// counted, and so are extended attributes that cannot be read.
func (c *copier) attributes(n node, where *destPath, e tree.Entry, inherits bool) error {
	mode, err := c.owner(n, where, e)
	if err != nil {
		return err
	}
	all, err := c.xattrs(e)
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if err != nil {
		c.done(where, unreadable(fmt.Errorf("its extended attributes are left out: %w", err)))
	}
	set := func(name string, value []byte) {
		if err := n.setxattr(name, value); err != nil {
			c.lose(attribute(where, name, value), err)
		}
	}
	for name, value := range all {
		if name != accessACL && name != defaultACL {
			set(name, value)
		}
	}
	if err := c.permit(loss{where, fmt.Sprintf("mode %04o", mode), modes, unix.CAP_FOWNER}, n.chmod(mode)); err != nil {
		return err
	}
	for _, name := range []string{accessACL, defaultACL} {
		if value, ok := all[name]; ok {
			set(name, value)
		} else if inherits {
			removeACL(n, name)
		}
	}
	return c.times(n, where, e)
}

// times sets a copy's times. A filesystem that cannot hold a time stores the nearest one
// that it can, without an error, so the stored time is read again.
func (c *copier) times(n node, where *destPath, e tree.Entry) error {
	l := loss{where, fmt.Sprintf("time of modification %s", moment(e.Attr.Mtime)), times, unix.CAP_FOWNER}
	err := n.setTimes(e.Attr.Atime, e.Attr.Mtime)
	if err != nil || heldByAll(e.Attr.Mtime) {
		return c.permit(l, err)
	}
	now, err := n.modified()
	if err != nil {
		return err
	}
	const coarsest = 2 // seconds, of FAT
	if diff := now - e.Attr.Mtime.Sec; diff < -coarsest || diff > coarsest {
		c.lose(l, fmt.Errorf("it became %s: %w", moment(volfs.Time{Sec: now}), syscall.ERANGE))
	}
	return nil
}

// heldByAll reports whether every filesystem can hold a time: FAT begins in 1980, and
// ext3 ends in 2038.
func heldByAll(t volfs.Time) bool {
	const begin, end = 315532800, 1<<31 - 1
	return t.Sec > begin && t.Sec < end
}

func moment(t volfs.Time) string { return time.Unix(t.Sec, 0).UTC().Format(time.RFC3339) }

// owner sets a copy's owner, and returns the mode that the copy may have then. If the
// owner or group could not be set, that is without the set-user-ID or set-group-ID bit.
func (c *copier) owner(n node, where *destPath, e tree.Entry) (mode uint32, err error) {
	mode = e.Attr.Mode & 0o7777
	uid, gid := int(e.Attr.UID), int(e.Attr.GID)
	err = n.chown(uid, gid)
	if err == nil || !denied(err) {
		return mode, err
	}
	c.lose(loss{where, fmt.Sprintf("owner %d:%d", uid, gid), owners, unix.CAP_CHOWN}, err)
	lost := uint32(syscall.S_ISUID)
	if err := n.chown(-1, gid); err != nil {
		lost |= syscall.S_ISGID
	}
	if mode&lost != 0 {
		c.lose(loss{where, "set-user-ID or set-group-ID bit", setIDs, unix.CAP_CHOWN}, err)
	}
	return mode &^ lost, nil
}

// xattrs reads the extended attributes of a node.
func (c *copier) xattrs(e tree.Entry) (map[string][]byte, error) {
	if !e.Attr.HasXattrs {
		return nil, nil
	}
	names, err := c.from.Xattrs(c.ctx, e.ID)
	if err != nil {
		return nil, err
	}
	all := make(map[string][]byte, len(names))
	var errs []error
	for _, name := range names {
		value, err := c.from.Xattr(c.ctx, e.ID, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all[name] = value
	}
	return all, errors.Join(errs...)
}

// removeACL removes an ACL that the copy may have inherited from its folder. Errors are
// ignored: mostly there is no ACL, or the filesystem has none.
func removeACL(n node, name string) { _ = n.removexattr(name) }

func hasPrefix(name string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}
