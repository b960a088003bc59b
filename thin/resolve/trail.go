package resolve

import "golang.org/x/sys/unix"

// ID tells a file or folder of this host, whatever its paths.
type ID struct{ Device, Inode uint64 }

// Trail is what a path of this host leads through: each folder, those on the way
// along its links too, and last what lies there. Where the path leads nowhere it is
// that until there, with the error.
func Trail(path string) ([]ID, error) {
	var trail []ID
	w, err := along(path, false, func(fd int) {
		var st unix.Statx_t
		// What is not told stays 0, as of another user's tree.
		_ = unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_INO, &st)
		trail = append(trail, ID{unix.Mkdev(st.Dev_major, st.Dev_minor), st.Ino})
	})
	w.close()
	if err != nil {
		return trail, pathError("stat", path, err)
	}
	return trail, nil
}
