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

// unnumbered are the filesystems whose inodes the kernel numbers anew whenever it reads
// them: exFAT has no numbers on the disk. Theirs are made here, of the folder's number
// and the name; where two want the same, the one that is met later has the next that is
// free. So all of the filesystem is walked through when it is opened: the numbers are
// the same then whenever it is.
var unnumbered = map[string]bool{"exfat": true}

// madeBits are how many bits a number has that is made.
const madeBits = 31

// maxMade is how many files there may be whose numbers are made: each takes about a
// hundred bytes. Folders that share their clusters could lead to any number of paths.
const maxMade = 1 << 20

// makeAll makes all numbers. What cannot be read has none.
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

// make makes the number of a name in a folder, or gives it if it was made.
func (p *places) make(dir volfs.Ino, name string) volfs.Ino {
	p.mu.Lock()
	defer p.mu.Unlock()
	ino, ok := p.probe(dir, name)
	if !ok {
		p.seen[ino] = entry{dir, name}
	}
	return ino
}

// probe is the number of a name in a folder, or the one that it is to have. mu is held.
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

// of is the number of a name in a folder, as the folder has it: EIO if the folder
// could not be read when numbers were made.
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

// named is the number of a name in an open folder, which may have it in other letters.
func (p *places) named(ctx context.Context, fd int, dir volfs.Ino, name string) (volfs.Ino, error) {
	if ino, err := p.of(dir, name); err == nil {
		return ino, nil
	}
	// As long as it is open it has one number, by which it is in the folder.
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
