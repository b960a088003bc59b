package pools

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Unpack unpacks an archive ("docker-ext4", …) into a folder that exists. Modes
// and modification times are kept, owners and device nodes if we are root, and
// runs of zeros become holes. Nothing is written outside the folder, and nothing
// that is there is replaced.
func Unpack(dir, name string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var folders []*tar.Header
	err = each(name, func(h *tar.Header, r io.Reader) error {
		if h.Typeflag == tar.TypeDir {
			folders = append(folders, h)
			return root.Mkdir(filepath.Clean(h.Name), 0o700)
		}
		return unpackFile(root, h, r)
	})
	if err != nil {
		return err
	}
	// From the innermost out: what is put into a folder changes its time.
	for i := len(folders) - 1; i >= 0; i-- {
		if err := setAttributes(root, folders[i]); err != nil {
			return fmt.Errorf("%s: %s: %w", name, folders[i].Name, err)
		}
	}
	return nil
}

func unpackFile(root *os.Root, h *tar.Header, r io.Reader) error {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		if err := writeSparse(root, h.Name, h.Size, r); err != nil {
			return err
		}
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, h.Name)
	case tar.TypeBlock:
		if os.Geteuid() != 0 {
			return nil
		}
		if err := makeNode(root, h); err != nil {
			return err
		}
	default:
		return fmt.Errorf("an entry of type %q: %w", h.Typeflag, errors.ErrUnsupported)
	}
	return setAttributes(root, h)
}

// writeSparse writes a file of a length in bytes.
func writeSparse(root *os.Root, name string, size int64, r io.Reader) (err error) {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buf := make([]byte, 64*hashBlock)
	for off := int64(0); off < size; off += int64(len(buf)) {
		n, err := io.ReadFull(r, buf[:min(int64(len(buf)), size-off)])
		if err != nil {
			return err
		}
		for start := 0; start < n; start += hashBlock {
			block := buf[start:min(start+hashBlock, n)]
			if allZero(block) {
				continue
			}
			if _, err := f.WriteAt(block, off+int64(start)); err != nil {
				return err
			}
		}
	}
	return f.Truncate(size)
}

var zeros [hashBlock]byte

func allZero(block []byte) bool { return bytes.Equal(block, zeros[:len(block)]) }

func makeNode(root *os.Root, h *tar.Header) error {
	parent, err := root.Open(filepath.Dir(h.Name))
	if err != nil {
		return err
	}
	defer parent.Close()
	dev := unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))
	err = unix.Mknodat(int(parent.Fd()), filepath.Base(h.Name), unix.S_IFBLK|0o600, int(dev))
	if errors.Is(err, unix.EPERM) { // root of a user namespace
		return nil
	}
	return err
}

func setAttributes(root *os.Root, h *tar.Header) error {
	if os.Geteuid() == 0 {
		if err := root.Lchown(h.Name, h.Uid, h.Gid); err != nil {
			return err
		}
	}
	if err := root.Chmod(h.Name, h.FileInfo().Mode()); err != nil {
		return err
	}
	return root.Chtimes(h.Name, time.Time{}, h.ModTime)
}
