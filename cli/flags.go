package cli

import (
	"slices"

	"github.com/urfave/cli/v2"
)

// flagOf is a command's flag of a name, or nil if it has none.
func flagOf(cmd *cli.Command, name string) cli.Flag {
	for _, f := range cmd.Flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// takesValue reports whether a flag is followed by a value.
func takesValue(f cli.Flag) bool {
	_, isBool := f.(*cli.BoolFlag)
	return f != nil && !isBool
}

// unit says how the value of a flag is written if it is a duration, and is "" otherwise.
func unit(f cli.Flag) string {
	if _, ok := f.(*cli.DurationFlag); ok {
		return ": a duration has a unit: 300s, 5m"
	}
	return ""
}
