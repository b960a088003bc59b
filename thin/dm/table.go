package dm

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Target serves a range of a device.
type Target struct {
	Start, Length uint64 // in sectors of [blockdev.SectorBytes]
	Type          string // "linear", "thin", "thin-pool", …
	// Params are the target's arguments in a table, or its status in the result of
	// [Client.Status].
	Params string
}

func (t Target) String() string {
	return fmt.Sprintf("%d %d %s %s", t.Start, t.Length, t.Type, t.Params)
}

// Load loads a table beside the active one; [Client.Resume] makes it active. With readOnly
// the device then refuses writes.
func (c *Client) Load(ctx context.Context, name string, table []Target, readOnly bool) error {
	for _, t := range table {
		if len(t.Type) >= unix.DM_MAX_TYPE_NAME || strings.Contains(t.Type+t.Params, "\x00") {
			return &Error{opLoad, name, fmt.Errorf("target %.140q: its type is too long, or it contains a NUL: %w", t, unix.EINVAL)}
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

// Clear drops a table that was loaded but is not active.
func (c *Client) Clear(ctx context.Context, name string) error {
	_, err := c.tell(ctx, "clear", unix.DM_TABLE_CLEAR, name, 0)
	return err
}

// Status returns the status of each target. A thin pool does not commit its metadata for
// it.
func (c *Client) Status(ctx context.Context, name string) (Info, []Target, error) {
	return c.targets(ctx, "status", name, unix.DM_NOFLUSH_FLAG)
}

// Table returns the active table.
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

// Deps returns the numbers, as unix.Mkdev makes them, of the block devices that a device's
// active table uses.
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

// Message sends a message to the target at a sector of a device. It returns the device's
// Info afterwards, and the target's answer, which is "" for most messages.
func (c *Client) Message(ctx context.Context, name string, sector uint64, message string) (Info, string, error) {
	if strings.Contains(message, "\x00") {
		return Info{}, "", &Error{opMessage, name, fmt.Errorf("%.140q contains a NUL: %w", message, unix.EINVAL)}
	}
	data := binary.NativeEndian.AppendUint64(nil, sector)
	data = append(append(data, message...), 0)
	r, err := c.ask(ctx, opMessage, unix.DM_TARGET_MSG, name, 0, data)
	if err != nil {
		return Info{}, "", err
	}
	defer r.free()
	if r.header().Dev == 0 {
		// In this case the kernel reports no error but leaves the header unfilled.
		return Info{}, "", &Error{opMessage, name, fmt.Errorf("it has no active table: %w", unix.EINVAL)}
	}
	if r.header().Flags&unix.DM_DATA_OUT_FLAG == 0 {
		return r.info(), "", nil
	}
	return r.info(), text(r.answer()), nil
}
