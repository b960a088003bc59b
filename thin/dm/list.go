package dm

import (
	"context"

	"golang.org/x/sys/unix"
)

// Listed is a device in the result of [Client.List].
type Listed struct {
	Name   string
	Number uint64 // as unix.Mkdev makes it
}

// List lists all devices of the host.
func (c *Client) List(ctx context.Context) ([]Listed, error) {
	r, err := c.ask(ctx, "list", unix.DM_LIST_DEVICES, "", 0, nil)
	if err != nil {
		return nil, err
	}
	defer r.free()
	list, err := parseDevices(r.answer())
	if err != nil {
		return nil, &Error{"list", "", err}
	}
	return list, nil
}

// TargetVersion is a target type that the kernel has, with its version.
type TargetVersion struct {
	Type string
	Version
}

// TargetVersions lists the target types whose modules are loaded, as dmsetup targets does.
func (c *Client) TargetVersions(ctx context.Context) ([]TargetVersion, error) {
	r, err := c.ask(ctx, "list of targets", unix.DM_LIST_VERSIONS, "", 0, nil)
	if err != nil {
		return nil, err
	}
	defer r.free()
	list, err := parseVersions(r.answer())
	if err != nil {
		return nil, &Error{"list of targets", "", err}
	}
	return list, nil
}
