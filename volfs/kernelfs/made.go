package kernelfs

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// unnumbered are the filesystems without inode numbers on the disk. The kernel gives their
// files new numbers each time that it reads them. Here a number is made from the folder's
// number and the name. If it is taken, the file that is met later has the next free one. So
// that numbers are the same each time, opening walks through the whole filesystem.
var unnumbered = map[string]bool{"exfat": true}

// madeBits is the length of made numbers in bits.
const madeBits = 31

// maxMade is the highest number of files with made numbers. Each takes about a hundred
// bytes. In a damaged filesystem, folders that share clusters have any number of paths.
const maxMade = 1 << 20

// makeAll makes all numbers. Files that cannot be read have none.
func (p *places) makeAll(ctx context.Context, root *os.File) error {
	p.walk.Lock()
	defer p.walk.Unlock()
	for len(p.pending) > 0 {
		if err := p.step(ctx, root); err != nil {
			return err
		}
		if len(p.seen) > maxMade {
			return &volfs.UnsupportedError{FS: "exfat", What: fmt.Sprintf("a volume of more than %d files", maxMade)}
		}
	}
	return nil
}

// make returns the number of a name in a folder. It makes it at the first call.
func (p *places) make(dir volfs.Ino, name string) volfs.Ino {
	p.mu.Lock()
	defer p.mu.Unlock()
	ino, ok := p.probe(dir, name)
	if !ok {
		p.seen[ino] = entry{dir, name}
	}
	return ino
}

// probe returns the number of a name in a folder. ok is false if the number is not made
// yet. mu is held.
func (p *places) probe(dir volfs.Ino, name string) (ino volfs.Ino, ok bool) {
	h := sha256.Sum256(append(binary.LittleEndian.AppendUint32(nil, uint32(dir)), name...))
	for at := binary.LittleEndian.Uint32(h[:]); ; at++ {
		ino = volfs.Ino(at & (1<<madeBits - 1))
		if ino == 0 || ino == p.root {
			continue
		}
		if e, taken := p.seen[ino]; !taken || e == (entry{dir, name}) {
			return ino, taken
		}
	}
}

// of returns the number of a name in a folder, spelled as in the folder. It is EIO if the
// folder could not be read when numbers were made.
func (p *places) of(dir volfs.Ino, name string) (volfs.Ino, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	switch name {
	case ".":
		return dir, nil
	case "..":
		if dir == p.root {
			return dir, nil
		}
		return p.seen[dir].dir, nil
	}
	ino, ok := p.probe(dir, name)
	if !ok {
		return 0, unix.EIO
	}
	return ino, nil
}

// named returns the number of a name in an open folder. The folder may have the name in
// another case.
func (p *places) named(ctx context.Context, fd int, dir volfs.Ino, name string) (volfs.Ino, error) {
	if ino, err := p.of(dir, name); err == nil {
		return ino, nil
	}
	// While it is open, the kernel's number stays the same, and the folder lists it.
	open, err := unix.Openat(fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(open)
	a, err := statx(open, "")
	if err != nil {
		return 0, err
	}
	folder, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(folder)
	err = readDir(ctx, folder, func(e volfs.DirEntry) bool {
		if e.Ino == a.Ino {
			name = e.Name
		}
		return e.Ino != a.Ino
	})
	if err != nil {
		return 0, err
	}
	return p.of(dir, name)
}
