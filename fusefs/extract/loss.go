package extract

import (
	"fmt"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"thintree/fusefs/capability"
)

// loss is something that a copy may not be able to keep.
type loss struct {
	where *destPath
	what  string             // for the log: "symbolic link"
	count func(*Losses) *int // the number to add one to
	// by is the capability that permits it; none if every user may.
	by int
}

// none stands for no capability.
const none = -1

// The kinds of losses.
var (
	owners    = func(l *Losses) *int { return &l.Owners }
	setIDs    = func(l *Losses) *int { return &l.SetIDs }
	modes     = func(l *Losses) *int { return &l.Modes }
	times     = func(l *Losses) *int { return &l.Times }
	xattrs    = func(l *Losses) *int { return &l.Xattrs }
	hardLinks = func(l *Losses) *int { return &l.HardLinks }
	symlinks  = func(l *Losses) *int { return &l.Symlinks }
	nodes     = func(l *Losses) *int { return &l.Nodes }
)

// maxLogged is how many losses of a kind are logged.
const maxLogged = 10

// lose counts a loss. It is "not permitted" if the user lacks the capability for it,
// otherwise "not held", which is logged too.
func (c *copier) lose(l loss, err error) {
	if isOne(err, syscall.EPERM, syscall.EACCES) && l.by != none && !capabilities().Has(l.by) {
		c.count(l.count(&c.result.NotPermitted))
		return
	}
	if n := c.count(l.count(&c.result.NotHeld)); n <= maxLogged {
		c.log.Error("left out, as the destination cannot hold it", "path", l.where.String(), "what", l.what, "error", err)
	}
}

// permit counts a loss and returns nil, if an error says that something cannot be kept. It
// returns any other error.
func (c *copier) permit(l loss, err error) error {
	if err == nil || !denied(err) {
		return err
	}
	c.lose(l, err)
	return nil
}

// capabilities are those of this process over the host.
var capabilities = sync.OnceValue(func() capability.Set {
	set, _ := capability.Own() // empty after an error
	return set
})

// attribute returns the loss of an extended attribute.
func attribute(where *destPath, name string, value []byte) loss {
	l := loss{where, fmt.Sprintf("extended attribute %s of %d bytes", name, len(value)), xattrs, unix.CAP_FOWNER}
	switch {
	case name == "security.capability":
		l.by = unix.CAP_SETFCAP
	case hasPrefix(name, "trusted.", "security."):
		l.by = unix.CAP_SYS_ADMIN
	case name == accessACL || name == defaultACL:
		l.what = "ACL " + name
	}
	return l
}
