package ext4

import (
	"context"
	"encoding/binary"
)

// run is a range of a file's blocks that are in one piece on the volume, or a hole.
type run struct {
	logical  uint64 // the first block in the file
	count    uint64 // of blocks, at least 1
	physical uint64 // the first block in the filesystem; 0 if there is none
	// allocated is true also for unwritten blocks, which have no data.
	allocated bool
}

// hasData is false for a hole and for unwritten blocks.
func (r run) hasData() bool { return r.physical != 0 }

func (r run) end() uint64 { return r.logical + r.count }

// maxBlocks is how many blocks a file can have.
func (fs *FS) maxBlocks(in *inode) uint64 {
	if in.is(flagExtents) {
		return extentMaxBlocks
	}
	pointers := uint64(fs.sb.blockSize / 4)
	return min(directBlocks+pointers*(1+pointers*(1+pointers)), 1<<32)
}

// mapBlock returns the run that begins at a file's block, as far as one extent or one
// block of pointers has it.
func (fs *FS) mapBlock(ctx context.Context, in *inode, logical uint64) (run, error) {
	if in.is(flagExtents) {
		return fs.mapExtent(ctx, in, logical)
	}
	return fs.mapIndirect(ctx, in, logical)
}

func le32(p []byte, index int) uint32 { return binary.LittleEndian.Uint32(p[4*index:]) }
