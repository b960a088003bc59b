package record

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// ReadFile reads a regular file of at most maxBytes. It follows no symbolic link
// at the end of path, and waits for no pipe. Errors say the path.
//
// It does without [os.File]: for small files that is most of the time.
func ReadFile(path string, maxBytes int64) ([]byte, error) {
	fd, err := open(path, unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s: a symbolic link in place of a regular file: %w", path, err)
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	text, err := readAll(fd, maxBytes)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return text, nil
}

func readAll(fd int, maxBytes int64) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errors.New("not a regular file")
	}
	// What is longer than it says has grown, and is read on.
	text := make([]byte, 0, min(st.Size, maxBytes)+1)
	for {
		n, err := unix.Read(fd, text[len(text):cap(text)])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, err
		}
		text = text[:len(text)+n]
		switch {
		case int64(len(text)) > maxBytes:
			return nil, fmt.Errorf("longer than %d bytes: %w", maxBytes, unix.EFBIG)
		case n == 0 || int64(len(text)) == st.Size:
			return text, nil
		case len(text) == cap(text):
			text = slices.Grow(text, len(text))
		}
	}
}

// ReadJSON reads a file, as [ReadFile] does, that holds one JSON value.
func ReadJSON(path string, maxBytes int64, into any) error {
	text, err := ReadFile(path, maxBytes)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		const enough = 40 // bytes of a number that does not fit
		if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && len(t.Value) > enough {
			t.Value = t.Value[:enough] + "…"
		}
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// List lists a folder by name. It follows a symbolic link to it.
func List(dir string) ([]fs.DirEntry, error) {
	fd, err := open(dir, unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), dir)
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// open opens for reading, without a new access time where that is allowed: to the
// owner, and to root.
func open(path string, flags int) (fd int, err error) {
	flags |= unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NOATIME
	for {
		fd, err := unix.Open(path, flags, 0)
		switch {
		case err == unix.EINTR:
		case err == unix.EPERM && flags&unix.O_NOATIME != 0:
			flags &^= unix.O_NOATIME
		case err != nil:
			return -1, &fs.PathError{Op: "open", Path: path, Err: err}
		default:
			return fd, nil
		}
	}
}
