package ext4

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"thintree/tests/manifest"
	"thintree/volfs"
	"thintree/volfs/ext4"
)

func TestAnImageCopiedWhileMountedReadsAsItLies(t *testing.T) {
	t.Parallel()
	needKernel(t)
	for _, c := range []struct {
		name   string
		mke2fs []string
	}{
		{"ext4", ext4With()},
		{"ext3", []string{"-t", "ext3", "-b", "1024"}},
		{"ext2", []string{"-t", "ext2", "-b", "1024"}},
		{"fast_commit", ext4With("-O", "fast_commit")},
		{"orphan_file", ext4With("-O", "orphan_file")},
		{"without checksums", ext4With("-O", "^metadata_csum")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			image := newImage(t, imageSize, c.mke2fs...)
			k := mount(t, image)
			fill(t, k)
			k.unmount()

			k = mount(t, image)
			orphan, err := os.Create(k.path() + "/open and deleted")
			if err != nil {
				t.Fatal(err)
			}
			defer orphan.Close()
			if _, err := orphan.Write(make([]byte, mib)); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(orphan.Name()); err != nil {
				t.Fatal(err)
			}
			for i := range 500 {
				if err := os.WriteFile(fmt.Sprintf("%s/after %d", k.path(), i), make([]byte, i*7), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.RemoveAll(k.path() + "/folders/hundred"); err != nil {
				t.Fatal(err)
			}
			k.sync()
			copied := copyImage(t, image)
			orphan.Close()
			k.unmount()

			if !open(t, copied).Info().Dirty {
				t.Error("Info does not tell that it is dirty")
			}
			compare(t, copied)
		})
	}
}

func TestManyReadersAtOnceSeeTheSame(t *testing.T) {
	t.Parallel()
	needKernel(t)
	image := newImage(t, imageSize, ext4With("-O", "inline_data,ea_inode")...)
	k := mount(t, image)
	fill(t, k)
	k.unmount()
	want := kernelTruth(t, image).tree
	fs := open(t, image)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			got, err := manifest.OfFS(t.Context(), fs, look)
			if diff := manifest.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
	group.Wait()
}

func TestACancelledContextEndsAWalk(t *testing.T) {
	t.Parallel()
	needKernel(t)
	fs := open(t, newImage(t, 32*mib, "-t", "ext4"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fs.Stat(ctx, fs.Root()); !errors.Is(err, context.Canceled) {
		t.Errorf("Stat: %v", err)
	}
	err := fs.ReadDir(ctx, fs.Root(), 0, func(volfs.DirEntry) bool { return true })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ReadDir: %v", err)
	}
}

func TestAResizedImageReadsAsTheKernelShowsIt(t *testing.T) {
	t.Parallel()
	needKernel(t)
	for _, c := range []struct {
		name   string
		mke2fs []string
		resize func(t *testing.T, image string)
	}{
		{"grown while mounted", []string{"-t", "ext4", "-b", "1024"}, growMounted},
		{"grown while mounted, meta_bg", []string{"-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode"}, growMounted},
		{"grown while mounted, beyond its reserved descriptors", []string{"-t", "ext4", "-b", "1024", "-E", "resize=300000"}, growMounted},
		{"grown", ext4With(), resize("2G")},
		{"grown ext3", []string{"-t", "ext3", "-b", "1024"}, resize("1G")},
		{"grown beyond its reserved descriptors", []string{"-t", "ext4", "-b", "1024", "-E", "resize=300000"}, resize("2G")},
		{"grown meta_bg", []string{"-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode"}, resize("2G")},
		{"shrunk", ext4With(), resize("120M")},
		{"turned to 64bit", ext4With("-O", "^64bit"), resize("-b")},
		{"turned from 64bit", ext4With(), resize("-s")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			image := newImage(t, imageSize, c.mke2fs...)
			k := mount(t, image)
			fill(t, k)
			k.unmount()
			c.resize(t, image)
			compare(t, image)
		})
	}
}

func resize(arg string) func(*testing.T, string) {
	return func(t *testing.T, image string) {
		t.Helper()
		e2fsck()(t, image)
		if arg[0] == '-' {
			run(t, "resize2fs", arg, image)
		} else {
			run(t, "resize2fs", image, arg)
		}
	}
}

// growMounted doubles a filesystem of 1 KiB blocks with the ioctl that resize2fs
// uses, and fills what came.
func growMounted(t *testing.T, image string) {
	t.Helper()
	if err := os.Truncate(image, 2*imageSize); err != nil {
		t.Fatal(err)
	}
	k := mount(t, image)
	defer k.unmount()
	root, err := os.Open(k.path())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	const resizeFS = 0x40086610 // EXT4_IOC_RESIZE_FS
	blocks := uint64(2 * imageSize / kib)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, root.Fd(), resizeFS, uintptr(unsafe.Pointer(&blocks))); errno == unix.EPERM {
		t.Skip("needs root: CAP_SYS_RESOURCE, to grow a mounted filesystem")
	} else if errno != 0 {
		t.Fatal("EXT4_IOC_RESIZE_FS: ", errno)
	}
	for i := range 60 {
		folder := fmt.Sprintf("%s/grown %d", k.path(), i)
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(folder+"/file", make([]byte, i*20_000), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnImageCutShortShowsNothingFalse(t *testing.T) {
	t.Parallel()
	needKernel(t)
	for _, kind := range []string{"ext3", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			image := newImage(t, imageSize, "-t", kind, "-b", "4096", "-g", "8192")
			k := mount(t, image)
			fill(t, k)
			k.unmount()
			want := kernelTruth(t, image).tree
			for _, size := range []int64{imageSize - 1, imageSize - 30*mib, imageSize / 2, imageSize/3 + 12345, 8 * mib, mib, 4096, 2048, 1500, 1024, 0} {
				cut := copyImage(t, image)
				if err := os.Truncate(cut, size); err != nil {
					t.Fatal(err)
				}
				fs, err := ext4.Open(t.Context(), openVolume(t, cut), volfs.Options{})
				if err != nil {
					t.Logf("%d bytes: Open: %v", size, err)
					continue
				}
				got, err := manifest.OfFS(t.Context(), fs, look)
				if err != nil {
					t.Fatal(err)
				}
				if untrue := manifest.Untrue(want, got); untrue != "" {
					t.Errorf("%d of %d bytes:\n%s", size, imageSize, untrue)
				}
				fs.Close()
			}
		})
	}
}
