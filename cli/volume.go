package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

const volumeHelp = poolHelp + `
A volume of a store is its NAME; base is the base device. A volume of another pool is
its ID, 7 or @7, or the NAME of its device-mapper device while that is active. A
number is always an ID: dm:7 is the device with the name 7.`

func volumeCommand() *cli.Command {
	return group("volume", "make, snapshot, activate, mount and delete the volumes of a pool",
		"Needs root. The kernel's device-mapper does the work.\n\n"+volumeHelp,
		volumeCreateCommand(), volumeSnapshotCommand(), volumeDeleteCommand(),
		volumeActivateCommand(), volumeDeactivateCommand(), volumeSuspendCommand(), volumeResumeCommand(),
		volumeMountCommand(), volumeUnmountCommand(), volumeTrimCommand(), volumeListCommand())
}

// baseName is the name of the base device of a store.
const baseName = "base"

// hashOf is the name that the store uses for the volume that users know by a name.
func hashOf(name string) string {
	if name == baseName {
		return ""
	}
	return name
}

// volumeName is the opposite of hashOf.
func volumeName(hash string) string {
	if hash == "" {
		return baseName
	}
	return hash
}

// onlyFor returns a wrong use if one of the flags is given, because they are only for the given
// kind of pool.
func onlyFor(c *cli.Context, kind string, flags ...string) error {
	for _, flag := range flags {
		if c.IsSet(flag) {
			return wrongUse("--%s: it is only for %s", flag, kind)
		}
	}
	return nil
}

// theVolume describes the arguments of a command about one volume.
const theVolume = "a POOL and the NAME or ID of a volume"

// takes returns a wrong use unless a command has from least to most arguments and none of them is
// empty. what describes the arguments.
func takes(c *cli.Context, least, most int, what, example string) error {
	if n := c.NArg(); n < least || n > most || slices.Contains(c.Args().Slice(), "") {
		name := strings.TrimPrefix(c.Command.HelpName, "thintree ")
		return wrongUse("%s takes %s: thintree %s %s", name, what, name, example)
	}
	return nil
}
