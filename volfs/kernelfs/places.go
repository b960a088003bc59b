package kernelfs

import (
	"cmp"
	"context"
	"math"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// byPlace are the filesystems whose inodes are opened by where they are, as the kernel
// makes no handles of them, or none that can be made of a number alone.
var byPlace = map[string]bool{
	"cramfs": true, "exfat": true, "gfs2": true, "hfs": true, "hfsplus": true, "iso9660": true, "minix": true,
	"ntfs": true, "ocfs2": true, "reiserfs": true, "romfs": true,
}

// places are where the inodes of a filesystem have been seen. One that has not been
// seen since the filesystem was opened, as who knows its number has it from before, is
// looked for: the folders are walked through, the upper ones first, until it is met. All
// that is met on the way is kept, so each folder is walked through once at most.
type places struct {
	root volfs.Ino
	made bool // the numbers are: see made.go

	mu   sync.RWMutex
	seen map[volfs.Ino]entry // guarded by mu

	walk    sync.Mutex         // held by who walks
	met     map[volfs.Ino]bool // folders; guarded by walk
	pending []volfs.Ino        // those to be walked through; guarded by walk
	failed  error              // the first of what could not be read; guarded by walk
}

// entry is one of the names of an inode. It leads to the root folder, whatever is
// damaged: the folder had a place before.
type entry struct {
	dir  volfs.Ino
	name string
}

func newPlaces(root volfs.Ino, made bool) *places {
	return &places{root: root, made: made, seen: map[volfs.Ino]entry{}, met: map[volfs.Ino]bool{root: true}, pending: []volfs.Ino{root}}
}

// keep keeps that an inode has a name in a folder which has a place. The first one stays.
func (p *places) keep(dir volfs.Ino, name string, ino volfs.Ino) {
	if ino == p.root {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.seen[ino]; !ok {
		p.seen[ino] = entry{dir, name}
	}
}

// path is the names on the way from the root folder to an inode that has been seen.
func (p *places) path(ino volfs.Ino) (names []string, ok bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for ino != p.root {
		at, ok := p.seen[ino]
		if !ok {
			return nil, false
		}
		names = append(names, at.name)
		ino = at.dir
	}
	slices.Reverse(names)
	return names, true
}

// unknown is the number of what cannot be looked up: no inode has it.
const unknown = math.MaxUint64

// listed is the number of an entry of an open folder. The one in the folder is another:
// in ISO 9660 mostly, in HFS+ if it is a hard link.
func (p *places) listed(fd int, dir volfs.Ino, e volfs.DirEntry) volfs.Ino {
	if p.made {
		ino, err := p.of(dir, e.Name)
		if err != nil {
			return unknown
		}
		return ino
	}
	if e.Name == "." || e.Name == ".." {
		return e.Ino
	}
	a, err := statx(fd, e.Name)
	if err != nil {
		return unknown
	}
	p.keep(dir, e.Name, a.Ino)
	return a.Ino
}

// open opens an inode: ESTALE if another one is in its place.
func (p *places) open(ctx context.Context, root *os.File, ino volfs.Ino, flags int) (int, error) {
	names, ok := p.path(ino)
	if !ok {
		var err error
		if names, err = p.find(ctx, root, ino); err != nil {
			return -1, err
		}
	}
	fd, err := openPath(int(root.Fd()), names, flags)
	if err != nil || p.made {
		return fd, err
	}
	return sameInode(fd, ino)
}

// openPath opens what names below a folder lead to, in steps that a system call takes.
func openPath(root int, names []string, flags int) (int, error) {
	for at := root; ; {
		n, length := 0, 0
		for n < len(names) && length+len(names[n]) < unix.PathMax-1 {
			length += len(names[n]) + 1
			n++
		}
		how := unix.OpenHow{
			Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_MAGICLINKS,
		}
		if n == len(names) {
			how.Flags = uint64(flags) | unix.O_CLOEXEC
		}
		fd, err := unix.Openat2(at, cmp.Or(strings.Join(names[:n], "/"), "."), &how)
		if at != root {
			unix.Close(at)
		}
		if err != nil || n == len(names) {
			return fd, err
		}
		at, names = fd, names[n:]
	}
}

// find walks on until an inode is met, and gives its path: ENOENT if there is none,
// unless something could not be read.
func (p *places) find(ctx context.Context, root *os.File, ino volfs.Ino) ([]string, error) {
	p.walk.Lock()
	defer p.walk.Unlock()
	for {
		if names, ok := p.path(ino); ok {
			return names, nil
		}
		if len(p.pending) == 0 {
			return nil, cmp.Or(p.failed, error(unix.ENOENT))
		}
		if err := p.step(ctx, root); err != nil {
			return nil, err
		}
	}
}

// step walks through the next folder. Called with walk held. An error is that of ctx.
func (p *places) step(ctx context.Context, root *os.File) error {
	err := p.through(ctx, root, p.pending[0])
	if ctx.Err() != nil {
		return ctx.Err()
	}
	p.failed = cmp.Or(p.failed, err)
	p.pending = p.pending[1:]
	return nil
}

// through keeps what is in a folder, and has the folders in it walked through later.
func (p *places) through(ctx context.Context, root *os.File, dir volfs.Ino) error {
	names, _ := p.path(dir)
	fd, err := openPath(int(root.Fd()), names, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var failed error
	err = readDir(ctx, fd, func(e volfs.DirEntry) bool {
		if e.Name == "." || e.Name == ".." {
			return true
		}
		a, err := statx(fd, e.Name)
		if err != nil {
			failed = cmp.Or(failed, err)
			return true
		}
		if p.made {
			a.Ino = p.make(dir, e.Name)
		} else {
			p.keep(dir, e.Name, a.Ino)
		}
		if a.Mode&unix.S_IFMT == unix.S_IFDIR && !p.met[a.Ino] {
			p.met[a.Ino] = true
			p.pending = append(p.pending, a.Ino)
		}
		return true
	})
	return cmp.Or(err, failed)
}
