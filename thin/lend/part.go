package lend

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"thintree/thin/blockdev"
	"thintree/thin/dm"
)

// part activates a device over a part of a lent one: see [Loan.Part].
func (l *Lender) part(ctx context.Context, device *os.File, offset, length int64) (f *os.File, done func() error, err error) {
	if offset < 0 || length <= 0 || offset%blockdev.SectorBytes != 0 || length%blockdev.SectorBytes != 0 {
		return nil, nil, fmt.Errorf("a part of %d bytes at byte %d: both must be multiples of %d bytes", length, offset, blockdev.SectorBytes)
	}
	under, err := deviceText(device)
	if err != nil {
		return nil, nil, err
	}
	return l.stack(ctx, []dm.Target{{
		Length: uint64(length) / blockdev.SectorBytes, Type: "linear", Params: fmt.Sprintf("%s %d", under, offset/blockdev.SectorBytes),
	}}, true)
}

// deviceText is the number of an open block device, in the words of a table.
func deviceText(device *os.File) (string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(device.Fd()), &st); err != nil {
		return "", fmt.Errorf("%s: %w", device.Name(), err)
	}
	return blockdev.Text(st.Rdev), nil
}
