package extract

import (
	"fmt"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// loss is something that a copy may have to do without.
type loss struct {
	where *place
	what  string // for the log: "its owner"
	count func(*Losses) *int
	// by is the capability by which it is permitted; none where everybody may.
	by int
}

// none is no capability.
const none = -1

// The numbers to count.
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

// maxLogged is how many losses of a kind are logged, each with its path.
const maxLogged = 10

// lose counts a loss, and logs it if it is not for want of permission.
func (c *copier) lose(l loss, err error) {
	if isOne(err, syscall.EPERM, syscall.EACCES) && l.by != none && !capable(l.by) {
		c.count(l.count(&c.result.NotPermitted))
		return
	}
	if n := c.count(l.count(&c.result.NotHeld)); n <= maxLogged {
		c.log.Error("left out, as the destination cannot hold it", "path", l.where.String(), "what", l.what, "error", err)
	}
}

// permit takes an error that says that something cannot be kept for a loss.
func (c *copier) permit(l loss, err error) error {
	if err == nil || !denied(err) {
		return err
	}
	c.lose(l, err)
	return nil
}

// capabilities are those of this process on this host: none in a user namespace,
// where they are of that alone.
var capabilities = sync.OnceValue(func() uint64 {
	const first = 0xEFFFFFFD // the inode number of the host's user namespace
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/user", &st); err != nil || st.Ino != first {
		return 0
	}
	var data [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]); err != nil {
		return 0
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective)
})

// capable reports whether this process has a capability, so that what it may not do
// all the same is not for want of permission.
func capable(capability int) bool { return capabilities()>>capability&1 != 0 }

// attribute is the loss of an extended attribute.
func attribute(where *place, name string, value []byte) loss {
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
