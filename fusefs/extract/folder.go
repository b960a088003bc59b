package extract

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// folder is an open folder of the copy.
type folder struct {
	where *destPath
	list  listing // of the tree's folder
	from  entry
	more  bool // list has more entries
	// broken says that not all entries could be read.
	broken bool

	fd   int // -1 while it is closed to save descriptors
	self inode
	// inherits is whether new files in the folder may inherit ACLs from it.
	inherits bool
	busy     sync.WaitGroup // the workers that copy a file into the folder

	mu sync.Mutex // held while a file gets its name
	// made are the files that the copy has made here, if the folder existed before the
	// copy. It is nil if the copy made the folder, and so everything in it.
	made map[inode]struct{}
}

// inode identifies a file of this host.
type inode struct{ dev, ino uint64 }

func inodeOf(st *unix.Stat_t) inode { return inode{uint64(st.Dev), st.Ino} }

const openFolder = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW

// openTop opens the folder in which the whole copy is made, by its path.
func openTop(path string) (*folder, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f := &folder{where: &destPath{name: path}, fd: fd}
	f.existing()
	return f, nil
}

// existing notes that the folder existed before the copy.
func (f *folder) existing() {
	f.made = make(map[inode]struct{})
	_, err := unix.Fgetxattr(f.fd, defaultACL, nil)
	f.inherits = err == nil
}

// makeFolder makes a folder in f, or opens the one that existed before the copy.
func (f *folder) makeFolder(where *destPath, e entry) (*folder, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := unix.Mkdirat(f.fd, e.name, 0o700)
	exists := errors.Is(err, syscall.EEXIST)
	if err != nil && !exists {
		return nil, err
	}
	if exists {
		if err := f.mayReplace(e.name, syscall.S_IFDIR); err != nil {
			return nil, err
		}
	}
	fd, err := openat(f.fd, e.name, openFolder, 0)
	if err != nil {
		return nil, err
	}
	child := &folder{where: where, from: e, more: true, fd: fd}
	if child.self, err = child.identify(); err != nil {
		child.close()
		return nil, err
	}
	switch {
	case exists:
		child.existing()
	case f.inherits:
		removeACL(&openNode{fd}, accessACL)
		removeACL(&openNode{fd}, defaultACL)
	}
	f.note(child.self)
	return child, nil
}

// mayBecome returns an error if a file that is not a folder cannot get a name. It spares
// the work of making a file in vain; commit decides.
func (f *folder) mayBecome(name string) error {
	if f.made == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mayReplace(name, 0)
}

// mayReplace returns an error if the file that has a name in f cannot be replaced (fileType
// 0), or is not a folder to merge with (S_IFDIR). Called with mu held.
func (f *folder) mayReplace(name string, fileType uint32) error {
	st, err := f.stat(name)
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, ok := f.made[inodeOf(st)]; ok || f.made == nil {
		return errTwice
	}
	isFolder := st.Mode&syscall.S_IFMT == syscall.S_IFDIR
	if isFolder && fileType == 0 {
		return fmt.Errorf("a folder is there already: %w", syscall.EISDIR)
	}
	if !isFolder && fileType != 0 {
		return fmt.Errorf("a file that is not a folder is there already: %w", syscall.ENOTDIR)
	}
	return nil
}

// commit renames a file from its temporary name to its own. It replaces a file that existed
// before the copy, but no folder.
func (f *folder) commit(tmp, name string) (inode, error) {
	st, err := f.stat(tmp)
	if err != nil {
		return inode{}, err
	}
	id := inodeOf(st)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.made == nil {
		err := unix.Renameat2(f.fd, tmp, f.fd, name, unix.RENAME_NOREPLACE)
		if errors.Is(err, syscall.EEXIST) {
			return inode{}, errTwice
		}
		// Not every kernel and filesystem has RENAME_NOREPLACE.
		if !isOne(err, syscall.EINVAL, syscall.ENOSYS) {
			return id, err
		}
	}
	if err := f.mayReplace(name, 0); err != nil {
		return inode{}, err
	}
	if err := unix.Renameat(f.fd, tmp, f.fd, name); err != nil {
		return inode{}, err
	}
	f.note(id)
	return id, nil
}

// note remembers a file that the copy has made here. Called with mu held.
func (f *folder) note(id inode) {
	if f.made != nil {
		f.made[id] = struct{}{}
	}
}

// stat is fstatat(2) of a name in the folder. It follows no link.
func (f *folder) stat(name string) (*unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(f.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return &st, err
}

func (f *folder) identify() (inode, error) {
	var st unix.Stat_t
	err := unix.Fstat(f.fd, &st)
	return inodeOf(&st), err
}

// remove removes an incomplete file, or an empty folder (flags AT_REMOVEDIR).
func (f *folder) remove(name string, flags int) error { return unix.Unlinkat(f.fd, name, flags) }

// close closes the descriptor, if it is open.
func (f *folder) close() {
	if f.fd >= 0 {
		unix.Close(f.fd)
		f.fd = -1
	}
}

// reopen opens the folder again, by ".." of an open folder in it.
func (f *folder) reopen(child *folder) error {
	fd, err := openat(child.fd, "..", openFolder, 0)
	if err != nil {
		return err
	}
	f.fd = fd
	if self, err := f.identify(); err != nil || self != f.self {
		f.close()
		return errors.Join(err, fmt.Errorf("the folder was moved while files were copied into it: %w", syscall.ESTALE))
	}
	return nil
}

// temporaryName returns a name that cannot be guessed.
func temporaryName() string { return fmt.Sprintf(".thintree-%016x", rand.Uint64()) }
