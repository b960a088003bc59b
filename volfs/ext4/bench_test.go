package ext4

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"thintree/volfs"
)

const (
	benchFolders = 50
	benchFiles   = 1000 // in each folder
	benchBytes   = 256 << 20
)

// benchVolume is a volume with many files and a large one.
func benchVolume(b *testing.B) fileVolume {
	b.Helper()
	image := makeImage(b, "1G", func(dir string) {
		for d := range benchFolders {
			folder := filepath.Join(dir, fmt.Sprintf("folder%d", d))
			if err := os.Mkdir(folder, 0o755); err != nil {
				b.Fatal(err)
			}
			for i := range benchFiles {
				writeFile(b, filepath.Join(folder, fmt.Sprintf("file%d", i)), "")
			}
		}
		writeFile(b, filepath.Join(dir, "large"), string(make([]byte, benchBytes/2)))
		f, err := os.OpenFile(filepath.Join(dir, "large"), os.O_WRONLY, 0)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		p := make([]byte, 1<<20)
		for i := range p {
			p[i] = byte(i*7 + 1)
		}
		for off := int64(0); off < benchBytes; off += int64(len(p)) {
			if _, err := f.WriteAt(p, off); err != nil {
				b.Fatal(err)
			}
		}
	}, "-t", "ext4")
	program(b, "sh", "-c", "PATH=$PATH:/usr/sbin; e2fsck -fyD "+image+" || test $? = 1") // makes indexes
	return openImage(b, image)
}

func openImage(b *testing.B, image string) fileVolume {
	b.Helper()
	f, err := os.Open(image)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	fi, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	return fileVolume{f, fi.Size()}
}

func Benchmark(b *testing.B) {
	v := benchVolume(b)
	b.Run("open and list the root", func(b *testing.B) {
		for b.Loop() {
			fs := mustOpen(b, v)
			if _, err := list(fs, fs.Root()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("open a large volume and list the root", benchLarge)
	b.Run("list and stat a tree", func(b *testing.B) { benchTree(b, v) })
	b.Run("look up and stat a tree", func(b *testing.B) { benchLookups(b, v) })
	b.Run("read a file", func(b *testing.B) { benchRead(b, v) })
	b.Run("read as much of the volume", func(b *testing.B) {
		p := make([]byte, 1<<20)
		b.SetBytes(benchBytes)
		for b.Loop() {
			for off := int64(0); off < benchBytes; off += int64(len(p)) {
				if _, err := v.ReadAt(b.Context(), p, off+512<<20); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// benchLarge opens a volume of 8192 groups.
func benchLarge(b *testing.B) {
	v := openImage(b, makeImage(b, "1T", nil, "-t", "ext4", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard"))
	for b.Loop() {
		fs := mustOpen(b, v)
		if _, err := list(fs, fs.Root()); err != nil {
			b.Fatal(err)
		}
	}
}

func benchTree(b *testing.B, v fileVolume) {
	fs, ctx := mustOpen(b, v), context.Background()
	root, err := list(fs, fs.Root())
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		for _, d := range root[2:] {
			if d.Type != 0o040000 {
				continue
			}
			err := fs.ReadDir(ctx, d.Ino, 0, func(e volfs.DirEntry) bool {
				n++
				_, err := fs.Stat(ctx, e.Ino)
				return err == nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/file")
}

func benchLookups(b *testing.B, v fileVolume) {
	fs, ctx := mustOpen(b, v), context.Background()
	n := 0
	for b.Loop() {
		for d := range benchFolders {
			dir, err := fs.Lookup(ctx, rootIno, fmt.Sprintf("folder%d", d))
			if err != nil {
				b.Fatal(err)
			}
			for i := range benchFiles {
				ino, err := fs.Lookup(ctx, dir, fmt.Sprintf("file%d", i))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := fs.Stat(ctx, ino); err != nil {
					b.Fatal(err)
				}
				n++
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/file")
}

func benchRead(b *testing.B, v fileVolume) {
	fs := mustOpen(b, v)
	f, err := fs.Open(context.Background(), resolve(b, fs, "large"))
	if err != nil {
		b.Fatal(err)
	}
	p := make([]byte, 1<<20)
	b.SetBytes(benchBytes)
	for b.Loop() {
		for off := int64(0); off < benchBytes; off += int64(len(p)) {
			if _, err := f.ReadAt(b.Context(), p, off); err != nil {
				b.Fatal(err)
			}
		}
	}
}
