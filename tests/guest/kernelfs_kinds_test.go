package guest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/tests/manifest"
	"thintree/volfs"
	"thintree/volfs/kernelfs"
)

// kernelKinds are filesystems that kernelfs reads and only the guest's kernel has.
// make makes one in the file $1, options are those that the kernel's own mount has, so
// that it shows the same.
var kernelKinds = []struct {
	fs, make, options string
	plain             bool // no owners, no links, no special files
	numbers           bool // inode numbers are those of an ordinary mount
	mib               int64
	modules           []string
}{
	{fs: "vfat", mib: 40, make: "mkfs.vfat -F 32 $1", options: "ro,utf8,uid=0,gid=0,umask=022", plain: true, modules: []string{"nls_cp437", "nls_iso8859-1"}},
	{fs: "udf", mib: 24, make: "mkudffs $1", options: "ro", numbers: true},
	{fs: "jfs", mib: 24, make: "mkfs.jfs -q $1", options: "ro", numbers: true},
	{fs: "nilfs2", mib: 136, make: "mkfs.nilfs2 -q $1", options: "ro,norecovery", numbers: true},
	{fs: "f2fs", mib: 64, make: "mkfs.f2fs -q $1", options: "ro,norecovery", numbers: true},
	{fs: "erofs", mib: 1, make: "mkfs.erofs $1 $2", options: "ro", numbers: true},
	{fs: "squashfs", mib: 1, make: "mksquashfs $2 $1 -noappend -quiet -no-progress", options: "ro", numbers: true},
}

func TestKernelFSOfEveryKind(t *testing.T) {
	Run(t, func(t *testing.T) {
		for _, k := range kernelKinds {
			t.Run(k.fs, func(t *testing.T) {
				for _, module := range append(k.modules, k.fs) {
					loadModule(t, module)
				}
				image := newFile(t, t.TempDir(), "image", k.mib*mib)
				fillKind(t, image, k.fs, k.make, k.plain)
				sameAsTheKernels(t, k.fs, image, k.options, k.numbers)
				if crashed := image + crashedSuffix; exists(crashed) {
					sameAsTheKernels(t, k.fs, crashed, k.options, k.numbers)
				}
			})
		}
	})
}

// sameAsTheKernels compares what kernelfs shows of an image with what the kernel's own
// mount does, and the image before and after.
func sameAsTheKernels(t *testing.T, fstype, image, options string, numbers bool) {
	t.Helper()
	sum := hashFile(t, image)
	device := attach(t, image)
	defer sh(t, "losetup -d "+device)
	more := manifest.Options{More: numbers}

	mnt := t.TempDir()
	sh(t, fmt.Sprintf("mount -i -t %s -o %s %s %s", fstype, options, device, mnt))
	want, err := manifest.OfDir(mnt, more)
	sh(t, "umount "+mnt)
	noError(t, err)
	fs := openKind(t, device, fstype)
	got, err := manifest.OfFS(t.Context(), fs, more)
	noError(t, errors.Join(err, fs.Close()))
	if diff := manifest.Diff(want, got); diff != "" {
		t.Errorf("%s: %s", image, diff)
	}
	if !strings.HasSuffix(image, crashedSuffix) {
		foundAgain(t, device, fstype)
	}
	if hashFile(t, image) != sum {
		t.Errorf("%s has changed", image)
	}
}

// crashedSuffix is of an image as it was while it was mounted.
const crashedSuffix = ".crashed"

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// fillKind makes a filesystem with some files in it.
func fillKind(t *testing.T, image, fs, make string, plain bool) {
	t.Helper()
	tree := t.TempDir()
	packed := fs == "erofs" || fs == "squashfs"
	if !packed {
		sh(t, fmt.Sprintf("set -- %s; %s; mount -i -o loop -t %s %[1]s %[4]s", image, make, fs, tree))
	}
	fill := `
mkdir -p dir/deep/er many; echo hello > dir/file; head -c 300000 /dev/urandom > random; touch -d @1234567890 old empty
for i in $(seq 100); do echo $i > many/$i; done; mkdir -p many/folders/{a,b,c}/{d,e,f}; echo x > "$(printf 'odd \303\244')"
`
	if !plain {
		fill += `
ln -s dir/file link; ln dir/file hard; mkfifo pipe; mknod null c 1 3; chmod 4750 dir/file; chown 1000:1001 dir
printf data | dd of=sparse bs=1 seek=3000000 conv=notrunc status=none
`
	}
	sh(t, "cd "+tree+fill)
	if packed {
		sh(t, fmt.Sprintf("rm %s; set -- %[1]s %s; %s", image, tree, make))
	} else {
		sh(t, fmt.Sprintf("sync; echo more > %s/more; sync; cp --sparse=always %s %[2]s%s; umount %[1]s", tree, image, crashedSuffix))
	}
}

func openKind(t *testing.T, device, fstype string) *kernelfs.FS {
	t.Helper()
	f, err := os.Open(device)
	noError(t, err)
	defer f.Close()
	fs, err := kernelfs.Open(f, volfs.Info{Type: fstype}, kernelfs.SkipJournal)
	noError(t, err)
	return fs
}

// foundAgain fails unless each file is found by its number, and is the same, when the
// filesystem is opened anew and its folders have not been looked into.
func foundAgain(t *testing.T, device, fstype string) {
	t.Helper()
	fs := openKind(t, device, fstype)
	files := numbers(t, fs, fs.Root())
	noError(t, fs.Close())
	slices.Reverse(files) // the deepest first
	fs = openKind(t, device, fstype)
	defer func() { noError(t, fs.Close()) }()
	for _, want := range files {
		got, err := fs.Stat(t.Context(), want.Ino)
		if err != nil || got != want {
			t.Errorf("found again: %+v, %v; was %+v", got, err, want)
			return
		}
	}
	switch fstype {
	case "vfat": // whatever is at a place is a file there
		return
	case "f2fs": // it writes to the superblock that it was asked for what cannot be
		return
	}
	if _, err := fs.Stat(t.Context(), 4_000_000_000); err == nil {
		t.Error("there is an inode 4,000,000,000")
	}
}

// numbers are the attributes of a folder and of all that is in it.
func numbers(t *testing.T, fs *kernelfs.FS, ino volfs.Ino) []volfs.Attr {
	t.Helper()
	a, err := fs.Stat(t.Context(), ino)
	noError(t, err)
	all := []volfs.Attr{a}
	if a.Mode&unix.S_IFMT != unix.S_IFDIR {
		return all
	}
	var inside []volfs.Ino
	noError(t, fs.ReadDir(t.Context(), ino, 0, func(e volfs.DirEntry) bool {
		if e.Name != "." && e.Name != ".." {
			inside = append(inside, e.Ino)
		}
		return true
	}))
	for _, child := range inside {
		all = append(all, numbers(t, fs, child)...)
	}
	return all
}

func hashFile(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	f, err := os.Open(path)
	noError(t, err)
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	noError(t, err)
	return [sha256.Size]byte(h.Sum(nil))
}
