package ext4

import (
	"context"

	"thintree/volfs"
)

// Reader is this package as one of the readers of volfs.
var Reader = volfs.Reader{
	Name:  "ext4",
	Types: []string{"ext2", "ext3", "ext4"},
	Open: func(ctx context.Context, v volfs.Volume, o volfs.Options) (volfs.FS, error) {
		fs, err := Open(ctx, v, o)
		if err != nil {
			return nil, err
		}
		return fs, nil
	},
}
