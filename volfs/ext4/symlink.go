package ext4

import (
	"bytes"
	"context"
	"fmt"
	"syscall"

	"thintree/volfs"
)

// Readlink returns the target of a link. If it is encrypted, it is in the form that the
// kernel shows without the key.
func (fs *FS) Readlink(ctx context.Context, ino volfs.Ino) (string, error) {
	in, err := fs.inode(ctx, ino)
	if err != nil {
		return "", err
	}
	if in.fileType() != syscall.S_IFLNK {
		return "", fmt.Errorf("ext4: %s: %w", in, syscall.EINVAL)
	}
	if in.is(flagEncrypt) {
		return fs.encryptedTarget(ctx, in)
	}
	p, err := fs.linkBytes(ctx, in)
	if err != nil {
		return "", err
	}
	target := p[:min(in.size, uint64(len(p)))]
	if i := bytes.IndexByte(target, 0); i >= 0 {
		target = target[:i]
	}
	if len(target) == 0 {
		return "", in.damage("a link without a target")
	}
	return string(target), nil
}

// linkBytes returns the bytes that begin with the target of a link: from its inode or its
// block.
func (fs *FS) linkBytes(ctx context.Context, in *inode) ([]byte, error) {
	switch {
	case in.inline != nil:
		return in.inline.bytes(in), nil
	case fs.isFastLink(in):
		return in.iBlock(), nil
	}
	r, err := fs.mapBlock(ctx, in, 0)
	if err != nil {
		return nil, err
	}
	if !r.hasData() {
		return nil, in.damage("a link without a block")
	}
	p := make([]byte, fs.sb.blockSize)
	if err := fs.readAt(ctx, p, int64(r.physical<<fs.sb.blockBits), in); err != nil {
		return nil, err
	}
	if in.is(flagEncrypt) {
		return p, nil
	}
	return p[:len(p)-1], nil // the last byte is the NUL's
}

// isFastLink reports whether a link's target lies in its i_block.
func (fs *FS) isFastLink(in *inode) bool {
	if fs.sb.incompat(incompatEAInode) {
		return in.size > 0 && in.size < iBlockSize
	}
	blocks := in.blocks
	if in.fileACL != 0 {
		blocks -= 1 << (fs.sb.blockBits + fs.sb.clusterBits - sectorBits)
	}
	return blocks == 0
}
