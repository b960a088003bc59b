package cli

import (
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"thintree/thin"
)

const volumeHelp = poolHelp + `
A store has volumes by name; base is its base device. In another pool a volume is
an ID, and while it is active a device-mapper device of a name of its own.`

func volumeCommand() *cli.Command {
	return group("volume", "make, snapshot, activate, mount and delete the volumes of a pool",
		"As root, by the kernel's device-mapper.\n\n"+volumeHelp,
		volumeCreateCommand(), volumeSnapshotCommand(), volumeDeleteCommand(),
		volumeActivateCommand(), volumeDeactivateCommand(), volumeSuspendCommand(), volumeResumeCommand(),
		volumeMountCommand(), volumeUnmountCommand(), volumeTrimCommand(), volumeListCommand())
}

// baseName is what the base device of a store is called.
const baseName = "base"

// hashOf is what a store knows a volume by that people call by a name.
func hashOf(name string) string {
	if name == baseName {
		return ""
	}
	return name
}

func volumeName(hash string) string {
	if hash == "" {
		return baseName
	}
	return hash
}

// parseID reads the id of a volume in a pool.
func parseID(arg string) (uint32, error) {
	id, err := strconv.ParseUint(arg, 10, 32)
	if err != nil || id > thin.MaxDeviceID {
		return 0, wrongUse("%q is no id: it is a number from 0 to %d", arg, thin.MaxDeviceID)
	}
	return uint32(id), nil
}

// parseIDs reads the ids that follow the POOL.
func parseIDs(c *cli.Context) ([]uint32, error) {
	var ids []uint32
	for _, arg := range c.Args().Tail() {
		id, err := parseID(arg)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// onlyFor is a wrong use where a flag of the named is given, which is for pools of
// another kind.
func onlyFor(c *cli.Context, kind string, flags ...string) error {
	for _, flag := range flags {
		if c.IsSet(flag) {
			return wrongUse("--%s: it is for %s", flag, kind)
		}
	}
	return nil
}

// takes is a wrong use unless a command has from least to most arguments, and
// none is empty.
func takes(c *cli.Context, least, most int, what, example string) error {
	if n := c.NArg(); n < least || n > most || slices.Contains(c.Args().Slice(), "") {
		name := strings.TrimPrefix(c.Command.HelpName, "thintree ")
		return wrongUse("%s takes %s: thintree %s %s", name, what, name, example)
	}
	return nil
}
