package main

import (
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	volumeMiB  = 2048
	largeMiB   = 1024
	smallFiles = 50000
)

// volume measures one volume of a pool whose data file is, byte for byte, the
// volume: so the kernel can mount the same bytes as a loop device.
func (b *bench) volume() error {
	if err := b.sh(fmt.Sprintf("truncate -s %dM data && mkfs.ext4 -q -N 80000 data && mkdir fs && mount -o loop data fs", volumeMiB)); err != nil {
		return err
	}
	b.mounts = append(b.mounts, b.path("fs"))
	if err := fill(b.path("fs")); err != nil {
		return err
	}
	if err := b.umount(b.path("fs")); err != nil {
		return err
	}
	if err := b.pool("volume", volumeMiB, "v"); err != nil {
		return err
	}
	if err := b.firstAccess(); err != nil {
		return err
	}
	mnt, err := b.mount("mnt", "--names", b.path("volume.names"), "pool:"+b.path("volume.meta")+","+b.path("data"))
	if err != nil {
		return err
	}
	ours := filepath.Join(mnt, "volumes/v")
	native, err := b.loop("native", "data")
	if err != nil {
		return err
	}
	if err := b.readLarge(ours, native); err != nil {
		return err
	}
	return b.walkTree(ours, native)
}

// fill writes one large file and many small ones.
func fill(dir string) error {
	large, err := os.Create(filepath.Join(dir, "large"))
	if err != nil {
		return err
	}
	defer large.Close()
	if _, err := io.CopyN(large, rand.NewChaCha8([32]byte{}), largeMiB<<20); err != nil {
		return err
	}
	for i := range smallFiles {
		path := filepath.Join(dir, "tree", strconv.Itoa(i/100), strconv.Itoa(i))
		if i%100 == 0 {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
		}
		if err := os.WriteFile(path, []byte(path), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// firstAccess measures the way from an idle volume to its listing.
func (b *bench) firstAccess() error {
	mnt, err := b.mount("mnt-first", "--idle", "20ms", "--names", b.path("volume.names"), "pool:"+b.path("volume.meta")+","+b.path("data"))
	if err != nil {
		return err
	}
	native := b.path("native-first")
	if err := os.MkdirAll(native, 0o755); err != nil {
		return err
	}
	defer syscall.Unmount(native, syscall.MNT_DETACH)
	list := func(dir string) error {
		_, err := os.ReadDir(dir)
		return err
	}
	closed := func() error {
		time.Sleep(100 * time.Millisecond)
		syscall.Unmount(native, 0)
		return dropCaches()
	}
	a, l, err := pair(7, closed, func() error { return list(mnt + "/volumes/v") }, func() error {
		if err := b.sh("mount -o loop,ro,noload data " + native); err != nil {
			return err
		}
		return list(native)
	})
	if err != nil {
		return err
	}
	b.row("first access to a volume, to its listing, cold", a, l, "loop mount", "≤ 20ms, aim below a loop mount", a <= 20*time.Millisecond)
	return b.umount(mnt)
}

func (b *bench) readLarge(ours, native string) error {
	read := func(dir string) func() error {
		return func() error {
			f, err := os.Open(filepath.Join(dir, "large"))
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, make([]byte, 1<<20))
			return err
		}
	}
	a, n, err := pair(5, dropCaches, read(ours), read(native))
	if err != nil {
		return err
	}
	b.row(fmt.Sprintf("sequential read of %d MiB, cold", largeMiB), a, n, "loop mount", "≥ 0.7 × the speed", float64(n) >= 0.7*float64(a))
	if a, n, err = pair(5, nil, read(ours), read(native)); err != nil {
		return err
	}
	b.row(fmt.Sprintf("sequential read of %d MiB, warm", largeMiB), a, n, "loop mount", "", true)
	return nil
}

func (b *bench) walkTree(ours, native string) error {
	walk := func(dir string) func() error {
		return func() error {
			n := 0
			err := filepath.WalkDir(filepath.Join(dir, "tree"), func(path string, d fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				n++
				_, err = os.Lstat(path)
				return err
			})
			if err == nil && n < smallFiles {
				err = fmt.Errorf("%s: only %d entries", dir, n)
			}
			return err
		}
	}
	a, n, err := pair(5, dropCaches, walk(ours), walk(native))
	if err != nil {
		return err
	}
	b.row(fmt.Sprintf("find + stat of %d files, cold", smallFiles), a, n, "loop mount", "≤ 2 ×", a <= 2*n)
	if a, n, err = pair(7, nil, walk(ours), walk(native)); err != nil {
		return err
	}
	b.row(fmt.Sprintf("find + stat of %d files, warm", smallFiles), a, n, "loop mount", "≤ 1.2 ×", float64(a) <= 1.2*float64(n))
	return nil
}
