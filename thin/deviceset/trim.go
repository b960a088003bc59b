package deviceset

import (
	"context"
	"fmt"
	"os"

	"thintree/meta/record"
)

// TrimDevice discards the blocks that a device's filesystem does not use. It returns by how
// many bytes the mapped part of the device has shrunk.
func (s *DeviceSet) TrimDevice(ctx context.Context, hash string) (bytes int64, err error) {
	d, err := s.find(ctx, hash)
	if err != nil {
		return 0, fmt.Errorf("trim: %w", err)
	}
	defer d.lock.release()
	err = s.mounted(ctx, d, func(_, _, dir string) error {
		f, err := os.Open(dir)
		if err != nil {
			return err
		}
		defer f.Close()
		bytes, err = s.kernel.Trim(ctx, s.name(hash), f)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("trim %q: %w", record.File(hash), err)
	}
	return bytes, nil
}
