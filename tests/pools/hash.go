package pools

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// hashBlock is how many bytes are looked at at once for being zeros.
const hashBlock = 4096

// Hash is a hash of a file, or of all that lies below a folder: names, types,
// modes, owners, lengths, modification times, links' targets and all bytes. Where
// holes are makes no difference; they are not read, so a large file that is
// mostly hole costs little. Access times do not count.
func Hash(path string) (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(path, p)
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		size := st.Size
		if d.IsDir() {
			size = 0 // the filesystem's affair
		}
		fmt.Fprintf(h, "%q %o %d %d %d %x %d\n", name, st.Mode, st.Uid, st.Gid, size, st.Rdev, info.ModTime().UnixNano())
		switch info.Mode().Type() {
		case 0:
			return hashFile(h, p)
		case fs.ModeSymlink:
			target, err := os.Readlink(p)
			fmt.Fprintf(h, "%q\n", target)
			return err
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// hashFile adds the blocks of a file that are not zeros, each after its offset.
func hashFile(h io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, 256*hashBlock)
	var offset [8]byte
	for off := int64(0); ; {
		off, err = f.Seek(off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		off -= off % hashBlock
		end, err := f.Seek(off, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for end = max(end, off+hashBlock); off < end; {
			n, err := f.ReadAt(buf[:min(int64(len(buf)), end-off)], off)
			for start := 0; start < n; start += hashBlock {
				block := buf[start:min(start+hashBlock, n)]
				if !allZero(block) {
					binary.LittleEndian.PutUint64(offset[:], uint64(off)+uint64(start))
					h.Write(offset[:])
					h.Write(block)
				}
			}
			off += int64(n)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
}
