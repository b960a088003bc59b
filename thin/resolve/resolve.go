package resolve

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Open opens a path of this host as open(2) does, and returns the descriptor, which is
// close-on-exec.
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

// open opens the file or folder at the end of a walk.
func (w *walk) open(flags int) (int, error) {
	at := w.end()
	if err := w.enter(); err != nil {
		return -1, err
	}
	if at.link {
		return -1, unix.ELOOP
	}
	// By the descriptor, not by the name: another file may have the name by now.
	return openat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", at.fd), flags&^unix.O_NOFOLLOW)
}

// Stat is stat(2) of a path of this host.
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

// Real returns a path of this host without symbolic links. If the path itself is the root
// of a tree, that is allowed: the tree gets no request.
func Real(path string) (string, error) { return Within("/", path) }

// Within is [Real] for a path below a folder. Links below the folder are followed as if the
// process had called chroot(2) on it: absolute links start at the folder, and ".." does not
// lead out of it. The error is a [LinkError] if a link leads to something that cannot be
// reached.
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

// At opens a path below an open folder. A symbolic link anywhere in the path is an error,
// ELOOP.
func At(folder int, name string, flags int) (fd int, err error) {
	flags |= unix.O_CLOEXEC
	fd, err = unix.Openat2(folder, name, &unix.OpenHow{
		Flags: uint64(flags), Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS,
	})
	switch err {
	case nil:
		return fd, nil
	case unix.EXDEV, unix.ENOSYS, unix.EPERM, unix.EAGAIN, unix.EINTR:
		// There is a mount on the way, or the kernel is older than 5.6, or a container
		// forbids the call.
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

// pathError adds the path to an error that lacks one.
func pathError(op, path string, err error) error {
	switch err.(type) {
	case *TreeError, *LinkError:
		return err
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}
