package resolve

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// maxLinks is how many links a path may lead through, as the kernel has it.
	maxLinks = 40
	// maxDepth is how many folders may lie below each other on a path: each of them is
	// open while it is walked.
	maxDepth = 256
)

// place is something that a walk has come to.
type place struct {
	fd     int // opened as a place (O_PATH)
	name   string
	device uint64
	kind   kind // of what is mounted there; other for a tree that may be entered
	folder bool
	link   bool
}

// walk is the way along a path.
type walk struct {
	within string  // the path of the first place
	places []place // from the folder where absolute links begin to where the walk is
	todo   []string
	links  int       // how many were followed
	last   *followed // the last of them
	noLink bool      // a link is an error
	passed func(fd int)
}

// followed is a link that was followed.
type followed struct {
	path, target string
	rest         int // how many names of todo lay behind it
}

// along walks along a path of this host. Close the walk after use, also where there
// is an error. keepLast leaves a link at the end of the path as it is.
func along(path string, keepLast bool, passed func(fd int)) (*walk, error) {
	w := &walk{within: "/", passed: passed}
	if path == "" {
		return w, unix.ENOENT
	}
	if !filepath.IsAbs(path) {
		here, err := os.Getwd()
		if err != nil {
			return w, err
		}
		path = here + "/" + path // not cleaned: that would take a link before a ".." for a folder
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

// close lets go of all places.
func (w *walk) close() { w.back(0) }

// back goes back to where the walk had come to so many places.
func (w *walk) back(places int) {
	for _, p := range w.places[places:] {
		unix.Close(p.fd)
	}
	w.places = w.places[:places]
}

// confine makes the place where the walk is its root: links lead nowhere out of it
// from here on.
func (w *walk) confine() {
	w.within = w.path()
	last := len(w.places) - 1
	w.places[0], w.places[last] = w.places[last], w.places[0]
	w.back(1)
}

// end is where the walk is.
func (w *walk) end() *place { return &w.places[len(w.places)-1] }

// path is the path, without links, to where the walk is.
func (w *walk) path() string {
	names := []string{w.within}
	for _, p := range w.places[1:] {
		names = append(names, p.name)
	}
	return filepath.Join(names...)
}

// follow goes on along a path.
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

// blame names the link in whose target an error is.
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

// arrive goes on to a place.
func (w *walk) arrive(p place) error {
	var st unix.Statx_t
	// Asked for nothing, not even the filesystem of another user refuses to tell its
	// device.
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
	if w.passed != nil {
		w.passed(p.fd)
	}
	return nil
}

// enter makes sure that the filesystem at the end of the walk may be asked
// something.
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

// jump follows a link of /proc, which can lead to what has no path.
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

// mayFollow keeps to what the kernel does with links in folders that all may write
// to, as /tmp (fs.protected_symlinks): those of other users are not followed.
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

// readLink reads the link that an open place is, if it is one.
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
