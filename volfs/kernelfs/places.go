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

// byPlace are the filesystems whose inodes are opened by path. The kernel has no handles
// for them, or handles need more than the inode number.
var byPlace = map[string]bool{
	"cramfs": true, "exfat": true, "gfs2": true, "hfs": true, "hfsplus": true, "iso9660": true, "minix": true,
	"ntfs": true, "ocfs2": true, "reiserfs": true, "romfs": true,
}

// places are the folders and names in which inodes were seen. A client can know a number
// from before the filesystem was opened. Such an inode is searched for: folders are
// walked through, the upper ones first, until it is met. All inodes on the way are kept,
// so each folder is walked through once at most.
type places struct {
	root volfs.Ino
	made bool // the inode numbers are made: see made.go

	mu   sync.RWMutex
	seen map[volfs.Ino]entry // guarded by mu

	walk    sync.Mutex         // held while walking
	met     map[volfs.Ino]bool // folders; guarded by walk
	pending []volfs.Ino        // folders to walk through; guarded by walk
	failed  error              // the first read error; guarded by walk
}

// entry is one of the names of an inode. Entries lead to the root folder even if the
// filesystem is damaged: a folder has its place before its entries do.
type entry struct {
	dir  volfs.Ino
	name string
}

func newPlaces(root volfs.Ino, made bool) *places {
	return &places{root: root, made: made, seen: map[volfs.Ino]entry{}, met: map[volfs.Ino]bool{root: true}, pending: []volfs.Ino{root}}
}

// keep records that an inode has a name in a folder, which has a place itself. The first
// name stays.
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

// path returns the names on the way from the root folder to an inode. It is false if the
// inode was not seen.
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

// unknown is the number of entries that cannot be looked up. No inode has it.
const unknown = math.MaxUint64

// listed returns the inode number of an entry of an open folder. The number that the kernel
// lists can be another: mostly in ISO 9660, and for hard links in HFS+.
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

// open opens an inode: ESTALE if another inode is in its place.
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

// openPath opens a path below a folder, in steps that are short enough for a system call.
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

// find continues the walk until it meets an inode, and returns its path. If it does not
// meet it, the error is the first read error, or ENOENT.
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

// step walks through the next folder. walk is held. Its error is that of ctx.
func (p *places) step(ctx context.Context, root *os.File) error {
	err := p.through(ctx, root, p.pending[0])
	if ctx.Err() != nil {
		return ctx.Err()
	}
	p.failed = cmp.Or(p.failed, err)
	p.pending = p.pending[1:]
	return nil
}

// through keeps all entries of a folder, and adds the folders in it to pending.
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
