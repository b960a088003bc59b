package dm

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Client runs device-mapper's commands. Its methods may be called concurrently.
type Client struct {
	control Control
	open    func() (Control, error) // opens another control, for a wait for events

	host bool   // the client of this host's kernel, which has device nodes
	udev *udevd // nil if the client never waits for udev
}

// Open opens this host's device-mapper, which needs root. Close it after use.
func Open() (*Client, error) {
	control, err := openControl()
	if err != nil {
		return nil, err
	}
	return &Client{control: control, open: openControl, host: true, udev: &udevd{socket: udevSocket, patience: udevPatience}}, nil
}

// New makes a client for tests, over controls that open returns: one now, and another for
// each wait for an event. Such a client makes no device nodes and does not wait for udev.
func New(open func() (Control, error)) (*Client, error) {
	control, err := open()
	if err != nil {
		return nil, err
	}
	return &Client{control: control, open: open}, nil
}

// Close closes the client. No call may be under way.
func (c *Client) Close() error { return c.control.Close() }

// Version is the version of the kernel's ioctl interface.
type Version struct{ Major, Minor, Patch uint32 }

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// Version returns the version of the kernel's ioctl interface.
func (c *Client) Version(ctx context.Context) (Version, error) {
	r, err := newRequest("", 0, nil, 0)
	if err != nil {
		return Version{}, err
	}
	defer r.free()
	if err := c.run(ctx, "version", unix.DM_VERSION, r); err != nil {
		return Version{}, err
	}
	v := r.header().Version
	return Version{v[0], v[1], v[2]}, nil
}

// run runs a command, and runs it again if a signal interrupts it.
func (c *Client) run(ctx context.Context, op string, command uint, r *request) error {
	for {
		if err := ctx.Err(); err != nil {
			return &Error{op, r.name, err}
		}
		err := c.control.Ioctl(command, r.buf)
		if errors.Is(err, unix.EINTR) {
			continue // a signal of the Go runtime, while the kernel waited for I/O
		}
		if err != nil {
			return &Error{op, r.name, err}
		}
		return nil
	}
}

// ask runs a command whose answer may be longer than its buffer, with larger buffers until
// the answer fits. The caller frees the request.
func (c *Client) ask(ctx context.Context, op string, command uint, name string, flags uint32, data []byte) (*request, error) {
	for room := dataBytes; room <= maxDataBytes; room *= 4 {
		r, err := newRequest(name, flags, data, room)
		if err != nil {
			return nil, err
		}
		err = c.run(ctx, op, command, r)
		if err == nil && r.header().Flags&unix.DM_BUFFER_FULL_FLAG == 0 {
			return r, nil
		}
		r.free()
		if err != nil {
			return nil, err
		}
	}
	return nil, &Error{op, name, fmt.Errorf("the answer is longer than %d bytes: %w", maxDataBytes, unix.EMSGSIZE)}
}

// tell runs a command whose answer is the header alone.
func (c *Client) tell(ctx context.Context, op string, command uint, name string, flags uint32) (Info, error) {
	r, err := newRequest(name, flags, nil, 0)
	if err != nil {
		return Info{}, err
	}
	defer r.free()
	if err := c.run(ctx, op, command, r); err != nil {
		return Info{}, err
	}
	return r.info(), nil
}
