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
	where *place
	list  list // of the folder that this is a copy of
	from  entry
	more  bool // list has more entries
	// broken says that not all entries could be read.
	broken bool

	fd   int // -1 while it is closed for want of descriptors
	self inode
	// inherits says that what is made here may get ACLs from the folder.
	inherits bool
	busy     sync.WaitGroup // the workers that make something here

	mu sync.Mutex // held while something gets its name
	// made is what the copy made in a folder that was there before; nil for a
	// folder that the copy made itself, where everything is.
	made map[inode]struct{}
}

// inode tells a file of the host from all others.
type inode struct{ dev, ino uint64 }

func inodeOf(st *unix.Stat_t) inode { return inode{uint64(st.Dev), st.Ino} }

const openFolder = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW

// openTop opens the folder that the whole copy is made in, by its path.
func openTop(path string) (*folder, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f := &folder{where: &place{name: path}, fd: fd}
	f.existing()
	return f, nil
}

// existing notes that the folder was there before the copy.
func (f *folder) existing() {
	f.made = make(map[inode]struct{})
	_, err := unix.Fgetxattr(f.fd, defaultACL, nil)
	f.inherits = err == nil
}

// makeFolder makes a folder in f, or opens the one that was there before.
func (f *folder) makeFolder(where *place, e entry) (*folder, error) {
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

// mayBecome tells whether what is no folder can get a name, as far as can be told
// before it is made.
func (f *folder) mayBecome(name string) error {
	if f.made == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mayReplace(name, 0)
}

// mayReplace tells whether what has a name in f, if anything, may be replaced
// (fileType 0) or is a folder to be merged with (S_IFDIR). The caller holds mu.
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
		return fmt.Errorf("what is there already is no folder: %w", syscall.ENOTDIR)
	}
	return nil
}

// commit gives what was made under a temporary name its own. It replaces what was
// there before the copy, but no folder.
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
		// Not every kernel and filesystem knows the flag.
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

// note remembers what the copy made here. The caller holds mu.
func (f *folder) note(id inode) {
	if f.made != nil {
		f.made[id] = struct{}{}
	}
}

// stat tells what has a name here. It follows no link.
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

// remove takes away what is not whole, or an empty folder (flags AT_REMOVEDIR).
func (f *folder) remove(name string, flags int) error { return unix.Unlinkat(f.fd, name, flags) }

// close lets go of the descriptor.
func (f *folder) close() {
	if f.fd >= 0 {
		unix.Close(f.fd)
		f.fd = -1
	}
}

// reopen opens the folder again, as the one above an open folder in it.
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

// temporaryName is a name that nobody can foretell.
func temporaryName() string { return fmt.Sprintf(".thintree-%016x", rand.Uint64()) }
