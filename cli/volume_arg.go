package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"thintree/thin"
	"thintree/thin/pdata"
)

// volumeArg is a parsed argument for a volume of a pool that is no store's: the device-mapper name
// of the volume's device or, if that is "", the volume's id.
type volumeArg struct {
	name string
	id   uint32
}

// parseVolume parses an argument for a volume. A number is always an id, even if the name of a
// device is that number.
func parseVolume(arg string) (volumeArg, error) {
	for _, prefix := range []string{devicePrefix, "/dev/mapper/"} {
		if name, ok := strings.CutPrefix(arg, prefix); ok {
			if name == "" {
				return volumeArg{}, wrongUse("%q names no volume: a volume is an ID, or the NAME of an active device", arg)
			}
			return volumeArg{name: name}, nil
		}
	}
	if isID(arg) {
		id, err := parseID(arg)
		return volumeArg{id: id}, err
	}
	return volumeArg{name: arg}, nil
}

// devicePrefix marks an argument as a device-mapper name.
const devicePrefix = "dm:"

// isID reports whether an argument is an id, possibly a wrong one.
func isID(arg string) bool {
	return strings.HasPrefix(arg, "@") || strings.Trim(arg, "0123456789") == ""
}

// deviceArg is the argument that stands for the device with a name.
func deviceArg(name string) string {
	if isID(name) || strings.HasPrefix(name, devicePrefix) {
		return devicePrefix + name
	}
	return name
}

// parseID parses the id of a volume in a pool.
func parseID(arg string) (uint32, error) {
	id, err := strconv.ParseUint(strings.TrimPrefix(arg, "@"), 10, 32)
	if err != nil || id > thin.MaxDeviceID {
		return 0, wrongUse("%q is no id: an id is a number from 0 to %d", arg, thin.MaxDeviceID)
	}
	return uint32(id), nil
}

// idOf is the id of the volume that an argument stands for.
func idOf(ctx context.Context, p *thin.Pool, arg string) (uint32, error) {
	v, err := parseVolume(arg)
	if err != nil || v.name == "" {
		return v.id, err
	}
	a, err := findActive(ctx, p, v.name)
	return a.ID, err
}

// activeOf finds the active device that an argument stands for.
func activeOf(ctx context.Context, p *thin.Pool, arg string) (thin.ActiveDevice, error) {
	v, err := parseVolume(arg)
	if err != nil {
		return thin.ActiveDevice{}, err
	}
	if v.name != "" {
		return findActive(ctx, p, v.name)
	}
	found, err := activeOfID(ctx, p, v.id)
	if err != nil {
		return thin.ActiveDevice{}, err
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		has, err := p.HasDevice(ctx, v.id)
		if err == nil && !has {
			err = &pdata.NoDeviceError{ID: v.id}
		}
		if err == nil {
			err = fmt.Errorf("volume %d is not active: thintree volume activate %s %d DEVICE --size SIZE", v.id, p.Name(), v.id)
		}
		return thin.ActiveDevice{}, err
	}
	return thin.ActiveDevice{}, fmt.Errorf("volume %d is active under several names, give one of them: %s", v.id, strings.Join(deviceArgs(found), " "))
}

// activeOfID lists the active devices with an id, without those that are lent to a tree.
func activeOfID(ctx context.Context, p *thin.Pool, id uint32) ([]thin.ActiveDevice, error) {
	active, err := p.ActiveOfOthers(ctx)
	var found []thin.ActiveDevice
	for _, a := range active {
		if a.ID == id {
			found = append(found, a)
		}
	}
	return found, err
}

func deviceArgs(active []thin.ActiveDevice) []string {
	var args []string
	for _, a := range active {
		args = append(args, deviceArg(a.Name))
	}
	return args
}
