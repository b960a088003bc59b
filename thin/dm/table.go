package dm

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Target is a range of a device, and what serves it.
type Target struct {
	Start, Length uint64 // in 512-byte sectors
	Type          string // "linear", "thin", "thin-pool", …
	// Params are the target's arguments, or in a status what it tells of itself.
	Params string
}

func (t Target) String() string {
	return fmt.Sprintf("%d %d %s %s", t.Start, t.Length, t.Type, t.Params)
}

// Load loads a table beside the active one; [Client.Resume] puts it in its
// place. A device that is loaded read-only cannot be written to.
func (c *Client) Load(ctx context.Context, name string, table []Target, readOnly bool) error {
	for _, t := range table {
		if len(t.Type) >= unix.DM_MAX_TYPE_NAME || strings.Contains(t.Type+t.Params, "\x00") {
			return &Error{opLoad, name, fmt.Errorf("target %.140q: its type is too long, or it holds a NUL: %w", t, unix.EINVAL)}
		}
	}
	var flags uint32
	if readOnly {
		flags = unix.DM_READONLY_FLAG
	}
	r, err := newRequest(name, flags, targetSpecs(table), 0)
	if err != nil {
		return err
	}
	defer r.free()
	r.header().Target_count = uint32(len(table))
	return c.run(ctx, opLoad, unix.DM_TABLE_LOAD, r)
}

// Clear drops a table that was loaded and not made the active one.
func (c *Client) Clear(ctx context.Context, name string) error {
	_, err := c.tell(ctx, "clear", unix.DM_TABLE_CLEAR, name, 0)
	return err
}

// Status gives what each target tells of itself. It makes no thin pool commit.
func (c *Client) Status(ctx context.Context, name string) (Info, []Target, error) {
	return c.targets(ctx, "status", name, unix.DM_NOFLUSH_FLAG)
}

// Table gives the active table.
func (c *Client) Table(ctx context.Context, name string) (Info, []Target, error) {
	return c.targets(ctx, "table", name, unix.DM_STATUS_TABLE_FLAG|unix.DM_NOFLUSH_FLAG)
}

func (c *Client) targets(ctx context.Context, op, name string, flags uint32) (Info, []Target, error) {
	r, err := c.ask(ctx, op, unix.DM_TABLE_STATUS, name, flags, nil)
	if err != nil {
		return Info{}, nil, err
	}
	defer r.free()
	info := r.info()
	table, err := parseTargets(r.answer(), info.Targets)
	if err != nil {
		return Info{}, nil, &Error{op, name, err}
	}
	return info, table, nil
}

// Deps gives the numbers of the block devices, as unix.Mkdev makes them, that a
// device's table is over.
func (c *Client) Deps(ctx context.Context, name string) ([]uint64, error) {
	r, err := c.ask(ctx, "deps", unix.DM_TABLE_DEPS, name, 0, nil)
	if err != nil {
		return nil, err
	}
	defer r.free()
	numbers, err := parseDeps(r.answer())
	if err != nil {
		return nil, &Error{"deps", name, err}
	}
	return numbers, nil
}

// Message sends a message to the target at a sector of a device, and gives its
// answer, mostly "", and what the device is like then.
func (c *Client) Message(ctx context.Context, name string, sector uint64, message string) (Info, string, error) {
	if strings.Contains(message, "\x00") {
		return Info{}, "", &Error{opMessage, name, fmt.Errorf("%.140q holds a NUL: %w", message, unix.EINVAL)}
	}
	data := binary.NativeEndian.AppendUint64(nil, sector)
	data = append(append(data, message...), 0)
	r, err := c.ask(ctx, opMessage, unix.DM_TARGET_MSG, name, 0, data)
	if err != nil {
		return Info{}, "", err
	}
	defer r.free()
	if r.header().Dev == 0 {
		// The kernel reports no error, but has not filled in the header.
		return Info{}, "", &Error{opMessage, name, fmt.Errorf("it has no active table: %w", unix.EINVAL)}
	}
	if r.header().Flags&unix.DM_DATA_OUT_FLAG == 0 {
		return r.info(), "", nil
	}
	return r.info(), text(r.answer()), nil
}
