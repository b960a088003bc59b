package dmtest

import (
	"context"
	"sync"

	"golang.org/x/sys/unix"

	"thintree/thin/dm"
)

// Control opens a control device, for [dm.New].
func (k *Kernel) Control() (dm.Control, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return &control{kernel: k, armed: k.event}, nil
}

// control is an open control device.
type control struct {
	kernel *Kernel

	mu     sync.Mutex
	armed  uint32 // the number of the last event before DM_DEV_ARM_POLL
	closed bool
}

func (c *control) Wait(ctx context.Context) error {
	for {
		c.kernel.mu.Lock()
		event, changed := c.kernel.event, c.kernel.changed
		c.kernel.mu.Unlock()
		c.mu.Lock()
		armed := c.armed
		c.mu.Unlock()
		if event != armed {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *control) arm(event uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = event
}

// enter returns EBADF if the control is closed.
func (c *control) enter() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return unix.EBADF
	}
	return nil
}

func (c *control) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return unix.EBADF
	}
	c.closed = true
	return nil
}

// Ioctl is ctl_ioctl of dm-ioctl.c.
func (c *control) Ioctl(command uint, buf []byte) error {
	if err := c.enter(); err != nil {
		return err
	}
	k := c.kernel
	k.mu.Lock()
	p, err := k.readParam(command, buf)
	before, after := k.before, k.after
	k.mu.Unlock()
	if err != nil {
		return err
	}
	if before != nil {
		if err := before(command, p.passed); err != nil {
			return err
		}
	}
	k.mu.Lock()
	err = k.command(c, command, p)
	if err == nil && !p.unanswered {
		p.writeBack(buf)
	}
	k.mu.Unlock()
	if after != nil {
		if failed := after(command, p.passed); failed != nil {
			return failed
		}
	}
	return err
}

// command runs a command.
func (k *Kernel) command(c *control, command uint, p *param) error {
	switch command {
	case unix.DM_VERSION:
		return nil
	case unix.DM_DEV_ARM_POLL:
		c.arm(k.event)
		return nil
	case unix.DM_LIST_DEVICES:
		return k.listDevices(p)
	case unix.DM_LIST_VERSIONS:
		return k.listVersions(p)
	case unix.DM_DEV_CREATE:
		return k.issuing(k.create(p))
	case unix.DM_DEV_RENAME:
		return k.issuing(k.rename(p))
	}
	d, err := k.find(p)
	if err != nil {
		return err
	}
	switch command {
	case unix.DM_DEV_REMOVE:
		return k.issuing(k.removeCommand(d, p))
	case unix.DM_DEV_SUSPEND:
		if p.header.Flags&unix.DM_SUSPEND_FLAG != 0 {
			return k.suspend(d, p)
		}
		return k.resume(d, p)
	case unix.DM_DEV_STATUS:
		d.describe(p)
		return nil
	case unix.DM_TABLE_LOAD:
		return k.load(d, p)
	case unix.DM_TABLE_CLEAR:
		return k.clear(d, p)
	case unix.DM_TABLE_STATUS:
		return k.tableStatus(d, p)
	case unix.DM_TABLE_DEPS:
		return k.tableDeps(d, p)
	case unix.DM_TARGET_MSG:
		return k.message(d, p)
	}
	return unix.ENOTTY
}

// issuing issues the event that some commands end with.
func (k *Kernel) issuing(err error) error {
	if err == nil {
		k.issue()
	}
	return err
}
