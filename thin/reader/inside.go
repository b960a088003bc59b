package reader

import (
	"context"

	"thintree/thin/block"
	"thintree/thin/pdata"
)

// OpenInside opens a pool whose halves are read from other readers, such as volumes within a volume.
// live says that they may change while they are read. It notices no other halves: Refresh must not be
// called. The errors are those of [pdata.Open].
func OpenInside(ctx context.Context, metadata, data block.Reader, live bool) (*Pool, error) {
	s := &poolState{metadata: &block.Lazy{Reader: metadata}, data: &block.Lazy{Reader: data}}
	if live {
		s.liveBy = "the volume around it"
	}
	var err error
	s.md, err = pdata.Open(ctx, s.metadata, s.metadata.Size(), pdata.Options{Live: live})
	if err != nil {
		return nil, err
	}
	return &Pool{state: s}, nil
}
