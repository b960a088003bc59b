package resolve

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// maxLinks is the kernel's limit of links that a path may lead through.
	maxLinks = 40
	// maxDepth limits the depth of folders on a path: each of them is open during the walk.
	maxDepth = 256
)

// place is a file, folder or link that a walk has reached.
type place struct {
	fd     int // opened with O_PATH
	name   string
	device uint64
	kind   kind // the kind of the mount; other for a tree that may be entered
	folder bool
	link   bool
}

// walk is the state of following a path.
type walk struct {
	within string  // the path of the first place, where absolute links start
	places []place // from the first place to the current one
	todo   []string
	links  int       // the number of links followed so far
	last   *followed // the last link followed
	noLink bool      // a link is an error
	visit  func(fd int)
}

// followed is a link that was followed.
type followed struct {
	path, target string
	rest         int // the length of todo after the link
}

// along walks along a path of this host. With keepLast it does not follow a link at the end
// of the path. visit, if not nil, is called with each place. The caller closes the walk,
// also after an error.
func along(path string, keepLast bool, visit func(fd int)) (*walk, error) {
	w := &walk{within: "/", visit: visit}
	if path == "" {
		return w, unix.ENOENT
	}
	if !filepath.IsAbs(path) {
		here, err := os.Getwd()
		if err != nil {
			return w, err
		}
		path = here + "/" + path // not cleaned: that would treat a link before a ".." as a folder
	}
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return w, err
	}
	if err := w.arrive(place{fd: fd, folder: true}); err != nil {
		return w, err
	}
	return w, w.follow(path, keepLast)
}

// close closes all places.
func (w *walk) close() { w.back(0) }

// back goes back until the given number of places is left.
func (w *walk) back(places int) {
	for _, p := range w.places[places:] {
		unix.Close(p.fd)
	}
	w.places = w.places[:places]
}

// confine makes the current place the root: from here on links do not lead out of it.
func (w *walk) confine() {
	w.within = w.path()
	last := len(w.places) - 1
	w.places[0], w.places[last] = w.places[last], w.places[0]
	w.back(1)
}

// end is the current place.
func (w *walk) end() *place { return &w.places[len(w.places)-1] }

// path is the path of the current place, without links.
func (w *walk) path() string {
	names := []string{w.within}
	for _, p := range w.places[1:] {
		names = append(names, p.name)
	}
	return filepath.Join(names...)
}

// follow walks along a path from the current place.
func (w *walk) follow(path string, keepLast bool) error {
	w.todo = strings.Split(path, "/")
	for len(w.todo) > 0 {
		name := w.todo[0]
		w.todo = w.todo[1:]
		if err := w.step(name, keepLast); err != nil {
			return w.blame(err)
		}
	}
	return nil
}

// blame adds the link to an error if its target is where the walk failed.
func (w *walk) blame(err error) error {
	if w.last == nil || len(w.todo) < w.last.rest || errors.As(err, new(*TreeError)) {
		return err
	}
	return &LinkError{Link: w.last.path, Target: w.last.target, Within: w.within, Err: err}
}

func (w *walk) step(name string, keepLast bool) error {
	at := w.end()
	switch {
	case !at.folder:
		return unix.ENOTDIR
	case name == "" || name == ".":
		return nil
	case name == "..":
		w.back(max(1, len(w.places)-1))
		return nil
	case len(w.places) == maxDepth:
		return unix.ENAMETOOLONG
	}
	if err := w.enter(); err != nil {
		return err
	}
	p := place{name: name}
	var err error
	if p.fd, err = openat(at.fd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW); err == nil {
		p.folder = true
		return w.arrive(p)
	}
	if err != unix.ENOTDIR {
		return err
	}
	if p.fd, err = openat(at.fd, name, unix.O_PATH|unix.O_NOFOLLOW); err != nil {
		return err
	}
	target, isLink, err := readLink(p.fd)
	switch {
	case err != nil:
		unix.Close(p.fd)
		return err
	case !isLink || keepLast && len(w.todo) == 0:
		p.link = isLink
		return w.arrive(p)
	}
	defer unix.Close(p.fd)
	if w.noLink {
		return unix.ELOOP
	}
	if w.links++; w.links > maxLinks {
		return unix.ELOOP
	}
	if at.kind == proc {
		return w.jump(name)
	}
	if err := mayFollow(at.fd, p.fd); err != nil {
		return err
	}
	w.last = &followed{filepath.Join(w.path(), name), target, len(w.todo)}
	if filepath.IsAbs(target) {
		w.back(1)
	}
	w.todo = append(strings.Split(target, "/"), w.todo...)
	return nil
}

// arrive makes a place the current one.
func (w *walk) arrive(p place) error {
	var st unix.Statx_t
	// With an empty mask statx succeeds even in the filesystem of another user, and fills
	// in the device.
	if err := unix.Statx(p.fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, 0, &st); err != nil {
		unix.Close(p.fd)
		return err
	}
	p.device = unix.Mkdev(st.Dev_major, st.Dev_minor)
	var err error
	if len(w.places) > 0 && w.end().device == p.device {
		p.kind = w.end().kind
	} else if p.kind, err = mounts.kindOf(p.device); err != nil {
		unix.Close(p.fd)
		return err
	}
	w.places = append(w.places, p)
	if w.visit != nil {
		w.visit(p.fd)
	}
	return nil
}

// enter checks that the process may send requests to the filesystem of the current place.
func (w *walk) enter() error {
	at := w.end()
	if at.kind != tree {
		return nil
	}
	if !trees.mayEnter(mountOf(at.fd, at.device)) {
		return &TreeError{Path: w.path()}
	}
	at.kind = other
	return nil
}

// jump follows a link in /proc, which may lead to a file without a path.
func (w *walk) jump(name string) error {
	if w.within != "/" {
		return unix.EXDEV
	}
	fd, err := openat(w.end().fd, name, unix.O_PATH)
	if err != nil {
		return err
	}
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE, &st); err != nil {
		unix.Close(fd)
		return err
	}
	return w.arrive(place{fd: fd, name: name, folder: st.Mode&unix.S_IFMT == unix.S_IFDIR})
}

// mayFollow applies fs.protected_symlinks, as the kernel does: in a sticky folder that
// everyone may write to, such as /tmp, links of other users are not followed.
func mayFollow(folder, link int) error {
	var in, is unix.Stat_t
	if err := unix.Fstat(folder, &in); err != nil {
		return err
	}
	const sticky, writable = unix.S_ISVTX, unix.S_IWOTH
	if in.Mode&sticky == 0 || in.Mode&writable == 0 {
		return nil
	}
	if err := unix.Fstat(link, &is); err != nil {
		return err
	}
	if is.Uid != in.Uid && int(is.Uid) != unix.Geteuid() {
		return unix.EACCES
	}
	return nil
}

// readLink reads the target of an open place, if the place is a link.
func readLink(fd int) (target string, isLink bool, err error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	switch {
	case err == unix.EINVAL || err == unix.ENOENT:
		return "", false, nil
	case err != nil:
		return "", false, err
	case n == 0:
		return "", true, unix.ENOENT
	}
	return string(buf[:n]), true, nil
}

func openat(dir int, name string, flags int) (fd int, err error) {
	for {
		fd, err = unix.Openat(dir, name, flags|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}
