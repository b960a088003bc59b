package ext4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// Names in encrypted folders are shown as the kernel's fs/crypto/fname.c shows them
// without the key: as the base64url form of struct fscrypt_nokey_name. That has two words
// of hash, up to 149 bytes of the encrypted name, and a SHA-256 of the bytes beyond
// these.
const (
	nokeyHashSize = 8
	nokeyBytes    = 149
	nokeyMaxSize  = nokeyHashSize + nokeyBytes + sha256.Size
	nokeyMinName  = 16 // bytes of an encrypted name at least
)

// nokeyName encodes an encrypted name; false if it is too short to be one.
func nokeyName(encrypted []byte, hash [2]uint32) (string, bool) {
	if len(encrypted) < nokeyMinName {
		return "", false
	}
	p := binary.LittleEndian.AppendUint32(nil, hash[0])
	p = binary.LittleEndian.AppendUint32(p, hash[1])
	p = append(p, encrypted[:min(len(encrypted), nokeyBytes)]...)
	if len(encrypted) > nokeyBytes {
		sum := sha256.Sum256(encrypted[nokeyBytes:])
		p = append(p, sum[:]...)
	}
	return base64.RawURLEncoding.EncodeToString(p), true
}

// shownName returns the name of an entry as a listing shows it.
func (fs *FS) shownName(ctx context.Context, dir *inode, e dirEntry) (string, error) {
	if !dir.is(flagEncrypt) || e.isDots() {
		return string(e.name), nil
	}
	hash := e.hash
	if !hashInside(dir) {
		if h, ok := fs.listingHasher(ctx, dir); ok {
			hash[0], hash[1] = h.hash(e.name)
		}
	}
	name, ok := nokeyName(e.name, hash)
	if !ok {
		return "", dir.damage("an encrypted name of %d bytes", len(e.name))
	}
	return name, nil
}

// listingHasher returns the hasher with which the kernel lists a folder. It is false if
// the kernel lists it without hashes.
func (fs *FS) listingHasher(ctx context.Context, dir *inode) (hasher, bool) {
	switch {
	case !fs.sb.compat(compatDirIndex):
		return hasher{}, false
	case dir.is(flagIndex):
		root, err := (&htree{fs: fs, dir: dir}).block(ctx, 0, blockDxRoot)
		if err != nil || root[dxRootInfo+4] >= hashUnsigned {
			return hasher{}, false
		}
		return fs.sb.hasher(root[dxRootInfo+4]), true
	case dir.size>>fs.sb.blockBits == 1:
		return fs.sb.hasher(fs.sb.defHashVersion), true
	}
	return hasher{}, false
}

// nokeyQuery looks for the file that is shown under a name. It is nil if no file can be
// shown so.
func nokeyQuery(shown string) *query {
	p, err := base64.RawURLEncoding.Strict().DecodeString(shown)
	if err != nil || len(p) <= nokeyHashSize || len(p) > nokeyHashSize+nokeyBytes && len(p) != nokeyMaxSize {
		return nil
	}
	hash, name := binary.LittleEndian.Uint32(p), p[nokeyHashSize:]
	if len(name) <= nokeyBytes {
		return plainQuery(name)
	}
	name, sum := name[:nokeyBytes], name[nokeyBytes:]
	return &query{
		matches: func(e dirEntry) bool {
			if len(e.name) <= nokeyBytes || !bytes.HasPrefix(e.name, name) {
				return false
			}
			s := sha256.Sum256(e.name[nokeyBytes:])
			return bytes.Equal(s[:], sum)
		},
		hash: func(hasher) uint32 { return hash },
	}
}

// encryptedTarget returns the target of an encrypted link in the same form. On disk it is
// a struct fscrypt_symlink_data: a length in two bytes, and the target.
func (fs *FS) encryptedTarget(ctx context.Context, in *inode) (string, error) {
	p, err := fs.linkBytes(ctx, in)
	if err != nil {
		return "", err
	}
	n := int(binary.LittleEndian.Uint16(p))
	if n > len(p)-2 {
		return "", in.damage("an encrypted link of %d bytes", n)
	}
	target, ok := nokeyName(p[2:2+n], [2]uint32{})
	if !ok {
		return "", in.damage("an encrypted link of %d bytes", n)
	}
	return target, nil
}
