package resolve

import "golang.org/x/sys/unix"

// ID identifies a file or folder of this host, whatever its path.
type ID struct{ Device, Inode uint64 }

// Trail lists what a path of this host leads through: each folder, also those on the way
// along links, and last the file or folder at the end. If the path cannot be followed to
// the end, Trail returns the part before that along with the error.
func Trail(path string) ([]ID, error) {
	var trail []ID
	w, err := along(path, false, func(fd int) {
		var st unix.Statx_t
		// A field stays 0 if the kernel refuses, as for another user's tree.
		_ = unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_INO, &st)
		trail = append(trail, ID{unix.Mkdev(st.Dev_major, st.Dev_minor), st.Ino})
	})
	w.close()
	if err != nil {
		return trail, pathError("stat", path, err)
	}
	return trail, nil
}
