package record

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"thintree/thin/resolve"
)

// Folder is an open folder of records. Its methods may be called concurrently, except
// Close.
type Folder struct {
	fd   int
	path string
}

// OpenFolder opens a folder. It follows links on the path.
func OpenFolder(path string) (*Folder, error) {
	fd, err := open(path, unix.O_DIRECTORY, resolve.Open)
	if err != nil {
		return nil, err
	}
	return &Folder{fd, path}, nil
}

// Close closes the folder. It is a no-op if f is nil.
func (f *Folder) Close() error {
	if f == nil {
		return nil
	}
	return unix.Close(f.fd)
}

// Path is the path of a name in the folder; the path of the folder if name is "".
func (f *Folder) Path(name string) string { return filepath.Join(f.path, name) }

// List lists the folder, sorted by name. It may be called only once.
func (f *Folder) List() ([]fs.DirEntry, error) {
	fd, err := unix.FcntlInt(uintptr(f.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: f.path, Err: err}
	}
	d := os.NewFile(uintptr(fd), f.path)
	defer d.Close()
	entries, err := d.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// ReadFile reads a regular file of at most maxBytes bytes. name is the file's name, or a
// path below the folder. ReadFile follows no symbolic link and does not wait for a pipe.
// Errors have the path.
//
// It does not use [os.File], which would take most of the time for small files.
func (f *Folder) ReadFile(name string, maxBytes int64) ([]byte, error) {
	path := f.Path(name)
	fd, err := open(path, unix.O_NONBLOCK, func(_ string, flags int) (int, error) { return resolve.At(f.fd, name, flags) })
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s: it is a symbolic link, not a regular file: %w", path, err)
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
	// A file may have grown since, so reading goes on to its end.
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

// ReadJSON reads a file with one JSON value. See [Folder.ReadFile].
func (f *Folder) ReadJSON(name string, maxBytes int64, into any) error {
	text, err := f.ReadFile(name, maxBytes)
	if err != nil {
		return err
	}
	if err := unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", f.Path(name), err)
	}
	return nil
}

// unmarshal is [json.Unmarshal] with errors of bounded length.
func unmarshal(text []byte, into any) error {
	const enough = 40 // bytes of a number that is out of range
	err := json.Unmarshal(text, into)
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && len(t.Value) > enough {
		t.Value = t.Value[:enough] + "…"
	}
	return err
}

// ReadJSON is [Folder.ReadJSON] for a path. It follows links on the path of the file's folder.
func ReadJSON(path string, maxBytes int64, into any) error {
	f, err := OpenFolder(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer f.Close()
	return f.ReadJSON(filepath.Base(path), maxBytes, into)
}

// open opens a file or folder for reading, with its access time left as it is: see
// [resolve.NoAtime].
func open(path string, flags int, call func(path string, flags int) (int, error)) (fd int, err error) {
	fd, err = resolve.NoAtime(flags|unix.O_RDONLY, func(flags int) (int, error) { return call(path, flags) })
	if errno, ok := err.(unix.Errno); ok {
		err = &fs.PathError{Op: "open", Path: path, Err: errno}
	}
	return fd, err
}
