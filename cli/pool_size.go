package cli

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"thintree/thin/blockdev"
)

var sizePattern = regexp.MustCompile(`^(?i)([0-9]+)(?:([kmgtpe])(?:i?b)?|b)?$`)

// parseSize parses a size in bytes: a number, or a number with a unit K, M, G, T, P or
// E (powers of 1024). It must be a multiple of the sector's length.
func parseSize(text string) (int64, error) {
	bad := fmt.Errorf("%q is no size: a size is in bytes, or has a unit: 512K, 64M, 10G", text)
	words := sizePattern.FindStringSubmatch(text)
	if words == nil {
		return 0, bad
	}
	shift := 0
	if words[2] != "" {
		shift = 10 * (1 + strings.Index("kmgtpe", strings.ToLower(words[2])))
	}
	n, err := strconv.ParseInt(words[1], 10, 64)
	if err != nil || n == 0 || n > math.MaxInt64>>shift {
		return 0, bad
	}
	if n <<= shift; n%blockdev.SectorBytes != 0 {
		return 0, fmt.Errorf("%q is no multiple of %d bytes", text, blockdev.SectorBytes)
	}
	return n, nil
}

// sizeOf is the value in bytes of a flag that is a size, or 0 if it is not given.
func sizeOf(c *cli.Context, flag string) (int64, error) {
	if !c.IsSet(flag) {
		return 0, nil
	}
	n, err := parseSize(c.String(flag))
	if err != nil {
		return 0, wrongUse("--%s: %v", flag, err)
	}
	return n, nil
}

// grownSize is the size in bytes that a flag asks for: its value or, after a +, the sum of now and
// its value. It is 0 if the flag is not given.
func grownSize(c *cli.Context, flag string, now int64) (int64, error) {
	text, added := strings.CutPrefix(c.String(flag), "+")
	if !c.IsSet(flag) {
		return 0, nil
	}
	n, err := parseSize(text)
	if err == nil && added && n > math.MaxInt64-now {
		err = fmt.Errorf("%q is too much", text)
	}
	if err != nil {
		return 0, wrongUse("--%s: %v", flag, err)
	}
	if added {
		n += now
	}
	return n, nil
}
