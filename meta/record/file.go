package record

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// ReadFile reads a regular file of at most maxBytes. It follows no symbolic link
// at the end of path, and waits for no pipe. Errors say the path.
func ReadFile(path string, maxBytes int64) ([]byte, error) {
	f, err := open(path, unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s: a symbolic link in place of a regular file: %w", path, unix.ELOOP)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	if st.Size() > maxBytes {
		return nil, tooLong(path, maxBytes)
	}
	// One byte more than it has shows the end in one read.
	text := make([]byte, st.Size()+1)
	n, err := io.ReadFull(f, text)
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return text[:n], nil
	case err != nil:
		return nil, err
	}
	// It has grown meanwhile.
	rest, err := io.ReadAll(io.LimitReader(f, maxBytes+1-int64(n)))
	if err != nil {
		return nil, err
	}
	if text = append(text, rest...); int64(len(text)) > maxBytes {
		return nil, tooLong(path, maxBytes)
	}
	return text, nil
}

func tooLong(path string, maxBytes int64) error {
	return fmt.Errorf("%s: longer than %d bytes: %w", path, maxBytes, unix.EFBIG)
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
	f, err := open(dir, unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
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
func open(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOATIME|flags, 0)
	if errors.Is(err, unix.EPERM) {
		return os.OpenFile(path, os.O_RDONLY|flags, 0)
	}
	return f, err
}
