package resolve

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Open opens what lies at a path of this host, as open(2) does, and gives its
// descriptor, which is closed in programs that are started.
func Open(path string, flags int) (fd int, err error) {
	w, err := along(path, flags&unix.O_NOFOLLOW != 0, nil)
	defer w.close()
	if err == nil {
		fd, err = w.open(flags)
	}
	if err != nil {
		return -1, pathError("open", path, err)
	}
	return fd, nil
}

// open opens what is at the end of a walk.
func (w *walk) open(flags int) (int, error) {
	at := w.end()
	if err := w.enter(); err != nil {
		return -1, err
	}
	if at.link {
		return -1, unix.ELOOP
	}
	// By its place, not by its name: something else may have that by now.
	return openat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", at.fd), flags&^unix.O_NOFOLLOW)
}

// Stat tells of what lies at a path of this host what stat(2) does.
func Stat(path string) (st unix.Stat_t, err error) {
	w, err := along(path, false, nil)
	defer w.close()
	if err == nil {
		err = w.enter()
	}
	if err == nil {
		err = unix.Fstat(w.end().fd, &st)
	}
	if err != nil {
		return st, pathError("stat", path, err)
	}
	return st, nil
}

// Real gives the path without links to what lies at a path of this host. A tree that
// is mounted at its very end is not asked anything.
func Real(path string) (string, error) { return Within("/", path) }

// Within is [Real] for a path that begins with that of a folder. Links in the rest of
// it are followed as if the process had called chroot(2) on the folder: an absolute
// one begins there, and ".." leads nowhere out of it. The error is a
// [LinkError] where a link leads to what is not there.
func Within(folder, path string) (real string, err error) {
	w, err := alongWithin(folder, path)
	defer w.close()
	if err != nil {
		return "", pathError("stat", path, err)
	}
	return w.path(), nil
}

func alongWithin(folder, path string) (*walk, error) {
	folder = filepath.Clean(folder)
	rest, ok := strings.CutPrefix(filepath.Clean(path), folder)
	switch {
	case folder == "/":
		return along(path, false, nil)
	case !ok || rest != "" && rest[0] != '/':
		return &walk{}, fmt.Errorf("not in %s: %w", folder, unix.EXDEV)
	}
	w, err := along(folder, false, nil)
	if err == nil {
		w.confine()
		err = w.follow(rest, false)
	}
	return w, err
}

// At opens what lies below an open folder. A link on the way, or in its place, is an
// error, ELOOP.
func At(folder int, name string, flags int) (fd int, err error) {
	flags |= unix.O_CLOEXEC
	fd, err = unix.Openat2(folder, name, &unix.OpenHow{
		Flags: uint64(flags), Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS,
	})
	switch err {
	case nil:
		return fd, nil
	case unix.EXDEV, unix.ENOSYS, unix.EPERM, unix.EAGAIN, unix.EINTR:
		// Something is mounted there, or the kernel is older than 5.6, or a container
		// does not have the call.
		return walkAt(folder, name, flags)
	}
	return -1, err
}

func walkAt(folder int, name string, flags int) (int, error) {
	own, err := openat(folder, ".", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return -1, err
	}
	w := &walk{within: ".", noLink: true}
	defer w.close()
	if err = w.arrive(place{fd: own, folder: true}); err == nil {
		err = w.follow(name, false)
	}
	if err != nil {
		return -1, err
	}
	return w.open(flags)
}

// pathError adds the path to an error that does not tell a path itself.
func pathError(op, path string, err error) error {
	switch err.(type) {
	case *TreeError, *LinkError:
		return err
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}
