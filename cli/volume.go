package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

const volumeHelp = poolHelp + `
A store has volumes by NAME; base is its base device. In another pool a volume is
its ID, 7 or @7, or the NAME of its device-mapper device while that is active. A
number is an ID: dm:7 is the device that is called 7.`

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

// theVolume is what a command takes that is about one volume.
const theVolume = "a POOL and the NAME or ID of a volume"

// takes is a wrong use unless a command has from least to most arguments, and
// none is empty.
func takes(c *cli.Context, least, most int, what, example string) error {
	if n := c.NArg(); n < least || n > most || slices.Contains(c.Args().Slice(), "") {
		name := strings.TrimPrefix(c.Command.HelpName, "thintree ")
		return wrongUse("%s takes %s: thintree %s %s", name, what, name, example)
	}
	return nil
}
