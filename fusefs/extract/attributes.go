package extract

import (
	"errors"
	"fmt"
	"syscall"

	"thintree/fusefs/tree"
)

// The ACLs' extended attributes.
const (
	accessACL  = "system.posix_acl_access"
	defaultACL = "system.posix_acl_default"
)

// attributes gives a copy its attributes, in the order that the package's comment
// gives reasons for. inherits says that the copy may have ACLs of its own already.
// What is not permitted is counted, and so are extended attributes that cannot be
// read.
func (c *copier) attributes(n node, where *place, e tree.Entry, inherits bool) error {
	mode, err := c.owner(n, e)
	if err != nil {
		return err
	}
	xattrs, err := c.xattrs(e)
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if err != nil {
		c.done(where, unreadable(fmt.Errorf("its extended attributes are left out: %w", err)))
	}
	for name, value := range xattrs {
		if name != accessACL && name != defaultACL && n.setxattr(name, value) != nil {
			c.count(&c.result.Xattrs)
		}
	}
	if err := c.permit(&c.result.Modes, n.chmod(mode)); err != nil {
		return err
	}
	for _, name := range []string{accessACL, defaultACL} {
		if value, ok := xattrs[name]; ok && n.setxattr(name, value) != nil {
			c.count(&c.result.Xattrs)
		} else if !ok && inherits {
			removeACL(n, name)
		}
	}
	return c.permit(&c.result.Times, n.setTimes(e.Attr.Atime, e.Attr.Mtime))
}

// permit counts an error that says that something is not permitted.
func (c *copier) permit(left *int, err error) error {
	if err == nil || !denied(err) {
		return err
	}
	c.count(left)
	return nil
}

// owner gives a copy its owner and tells which mode it may have then: never that
// of another owner's set-user-ID or set-group-ID file.
func (c *copier) owner(n node, e tree.Entry) (mode uint32, err error) {
	mode = e.Attr.Mode & 0o7777
	uid, gid := int(e.Attr.UID), int(e.Attr.GID)
	err = n.chown(uid, gid)
	if err == nil || !denied(err) {
		return mode, err
	}
	c.count(&c.result.Owners)
	lost := uint32(syscall.S_ISUID)
	if err := n.chown(-1, gid); err != nil {
		lost |= syscall.S_ISGID
	}
	if mode&lost != 0 {
		c.count(&c.result.SetIDs)
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

// removeACL takes away an ACL that was inherited from the folder that the copy is
// made in. That there is none, or can be none, is fine.
func removeACL(n node, name string) { _ = n.removexattr(name) }
