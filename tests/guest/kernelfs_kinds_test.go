package guest

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/tests/loopmount"
	"thintree/tests/manifest"
	"thintree/volfs"
	"thintree/volfs/kernelfs"
)

// kernelKinds are filesystems that kernelfs reads and this machine's kernel need not have.
// make makes one in the file $1, options are those that the kernel's own mount has, so
// that it shows the same.
var kernelKinds = []kernelKind{
	{fs: "vfat", mib: 40, make: "mkfs.vfat -F 32 $1", options: "ro,utf8,uid=0,gid=0,umask=022", plain: true, folds: true, modules: []string{"nls_cp437", "nls_iso8859-1"}},
	{fs: "udf", mib: 24, make: "mkudffs $1", options: "ro", numbers: true},
	{fs: "jfs", mib: 24, make: "mkfs.jfs -q $1", options: "ro", numbers: true},
	{fs: "nilfs2", mib: 136, make: "mkfs.nilfs2 -q $1", options: "ro,norecovery", numbers: true},
	{fs: "f2fs", mib: 64, make: "mkfs.f2fs -q $1", options: "ro,norecovery", numbers: true},
	{fs: "erofs", mib: 1, make: "mkfs.erofs $1 $2", options: "ro", numbers: true},
	{fs: "squashfs", mib: 1, make: "mksquashfs $2 $1 -noappend -quiet -no-progress", options: "ro", numbers: true},
	{fs: "iso9660", mib: 1, make: "genisoimage -quiet -R -o $1 $2", options: "ro", modules: []string{"isofs"}},
	{fs: "iso9660", mib: 1, make: "genisoimage -quiet -J -input-charset utf-8 -o $1 $2", options: "ro,utf8"},
	{fs: "hfs", mib: 24, make: "hformat $1", options: "ro", plain: true, folds: true, modules: []string{"hfs"}},
	{fs: "reiserfs", mib: 64, make: "mkreiserfs -q $1", options: "ro", numbers: true, readOnly: true},
	{fs: "minix", mib: 8, make: "mkfs.minix -3 $1 >/dev/null", options: "ro", numbers: true},
	{fs: "cramfs", mib: 1, make: "mkfs.cramfs $2 $1", options: "ro", numbers: true},
	{fs: "romfs", mib: 1, make: "genromfs -f $1 -d $2", options: "ro", numbers: true},
	{fs: "ocfs2", mib: 64, make: "mkfs.ocfs2 -q -M local $(losetup -f --show $1); losetup -D", options: "ro", numbers: true, readOnly: true},
	{fs: "gfs2", mib: 64, make: "mkfs.gfs2 -q -O -p lock_nolock -j1 $1 >/dev/null", options: "ro,lockproto=lock_nolock", numbers: true, readOnly: true},
	{fs: "exfat", mib: 24, make: "mkfs.exfat $1 >/dev/null", options: "ro,uid=0,gid=0,umask=022,iocharset=utf8", plain: true, folds: true, elsewhere: true},
	{fs: "ntfs", kernel: "ntfs3", mib: 24, make: "mkntfs -q -F $1", options: "ro,uid=0,gid=0,umask=022,iocharset=utf8", plain: true, elsewhere: true},
	{fs: "hfsplus", mib: 1, make: "xorriso -as mkisofs -quiet -hfsplus -R -o $1 $2", options: "ro", modules: []string{"nls_utf8"}},
}

type kernelKind struct {
	fs, make, options string
	kernel            string // its name of fs, if that is another one
	elsewhere         bool   // other kernels than the guest's have it
	plain             bool   // no owners, no links, no special files
	folds             bool   // a name is found in other letters
	numbers           bool   // inode numbers are those of an ordinary mount, also in folders
	readOnly          bool   // the device has to be
	mib               int64
	modules           []string
}

// name is the kernel's.
func (k kernelKind) name() string { return cmp.Or(k.kernel, k.fs) }

func TestKernelFSOfEveryKind(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		for _, k := range kernelKinds {
			t.Run(k.fs, func(t *testing.T) {
				if k.elsewhere && !hasModule(k.name()) {
					t.Skipf("needs a kernel with %s: the guest's has none", k.name())
				}
				program := strings.Fields(k.make)[0]
				if _, err := exec.LookPath(program); err != nil {
					t.Skipf("needs %s: %v", program, err)
				}
				for _, module := range append(k.modules, k.name()) {
					loadModule(t, module)
				}
				image := newFile(t, t.TempDir(), "image", k.mib*mib)
				k.fill(t, image)
				k.sameAsTheKernels(t, image)
				switch crashed := image + crashedSuffix; {
				case !exists(crashed):
				case k.readOnly:
					k.onlyReplayed(t, crashed)
				default:
					k.sameAsTheKernels(t, crashed)
				}
			})
		}
	})
}

// sameAsTheKernels compares what kernelfs shows of an image with what the kernel's own
// mount does, and the image before and after.
func (k kernelKind) sameAsTheKernels(t *testing.T, image string) {
	t.Helper()
	sum := hashFile(t, image)
	device := k.attach(t, image)
	defer sh(t, "losetup -d "+device)
	more := manifest.Options{More: k.numbers}

	mnt := t.TempDir()
	sh(t, fmt.Sprintf("mount -i -t %s -o %s %s %s", k.name(), k.options, device, mnt))
	want, err := manifest.OfDir(t.Context(), mnt, more)
	sh(t, "umount "+mnt)
	noError(t, err)
	if k.fs == "exfat" { // the root folder has the times of the mount
		want[0].Mtime, want[0].Ctime = volfs.Time{}, volfs.Time{}
	}
	fs := openKind(t, device, k.fs)
	got, err := manifest.OfFS(t.Context(), fs, more)
	noError(t, errors.Join(err, fs.Close()))
	if diff := manifest.Diff(want, got); diff != "" {
		t.Errorf("%s: %s", image, diff)
	}
	if !strings.HasSuffix(image, crashedSuffix) {
		foundAgain(t, device, k.fs)
		if k.folds {
			inOtherLetters(t, device, k.fs)
		}
	}
	if hashFile(t, image) != sum {
		t.Errorf("%s has changed", image)
	}
}

func hasModule(name string) bool {
	return exec.Command("bash", "-c", "modprobe -n -d $(dirname $(readlink /proc/1/exe)) "+name).Run() == nil
}

// onlyReplayed fails unless an image whose journal has to be replayed is shown only
// if that is asked for and can be done.
func (k kernelKind) onlyReplayed(t *testing.T, image string) {
	t.Helper()
	sum := hashFile(t, image)
	device := k.attach(t, image)
	for _, journal := range []volfs.Journal{volfs.JournalSkip, volfs.JournalReplay} {
		_, err := openWith(t, device, k.fs, journal)
		wants(t, "on a device that is read-only", err, unix.EROFS)
	}
	sh(t, "losetup -d "+device)
	device = attach(t, image)
	defer sh(t, "losetup -d "+device)
	_, err := openWith(t, device, k.fs, volfs.JournalSkip)
	wants(t, "on one that can be written to", err, unix.EOPNOTSUPP)
	if hashFile(t, image) != sum {
		t.Errorf("%s has changed", image)
	}
	fs, err := openWith(t, device, k.fs, volfs.JournalReplay)
	noError(t, err)
	_, err = fs.Lookup(t.Context(), fs.Root(), "more")
	noError(t, errors.Join(err, fs.Close()))
}

func (k kernelKind) attach(t *testing.T, image string) string {
	t.Helper()
	if k.readOnly {
		image = "--read-only " + image
	}
	return attach(t, image)
}

// crashedSuffix is of an image as it was while it was mounted.
const crashedSuffix = ".crashed"

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// fill makes a filesystem with some files in it.
func (k kernelKind) fill(t *testing.T, image string) {
	t.Helper()
	tree := t.TempDir()
	packed := strings.Contains(k.make, "$2")
	if !packed {
		sh(t, fmt.Sprintf("set -- %s; %s", image, k.make))
		loopmount.Mount(t, image, tree, "-i", "-t", k.name())
	}
	fill := `
mkdir -p dir/deep/er many; echo hello > dir/file; head -c 300000 /dev/urandom > random; touch -d @1234567890 old empty
for i in $(seq 100); do echo $i > many/$i; done; mkdir -p many/folders/{a,b,c}/{d,e,f}; echo x > "$(printf 'odd \303\244')"
`
	if !k.plain {
		fill += `
ln -s dir/file link; ln dir/file hard; mkfifo pipe; mknod null c 1 3; chmod 4750 dir/file; chown 1000:1001 dir
printf data | dd of=sparse bs=1 seek=3000000 conv=notrunc status=none
`
	}
	sh(t, "cd "+tree+fill)
	if packed {
		sh(t, fmt.Sprintf("rm %s; set -- %[1]s %s; %s", image, tree, k.make))
	} else {
		sh(t, fmt.Sprintf("sync; echo more > %s/more; sync; cp --sparse=always %s %[2]s%s; umount %[1]s", tree, image, crashedSuffix))
	}
}

func openKind(t *testing.T, device, fstype string) *kernelfs.FS {
	t.Helper()
	fs, err := openWith(t, device, fstype, volfs.JournalSkip)
	noError(t, err)
	return fs
}

func openWith(t *testing.T, device, fstype string, journal volfs.Journal) (*kernelfs.FS, error) {
	t.Helper()
	f, err := os.Open(device)
	noError(t, err)
	defer f.Close()
	return kernelfs.Open(f, volfs.Info{Type: fstype}, journal)
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

// inOtherLetters fails unless a name in capitals is of the same file.
func inOtherLetters(t *testing.T, device, fstype string) {
	t.Helper()
	fs := openKind(t, device, fstype)
	defer func() { noError(t, fs.Close()) }()
	var found [2]volfs.Ino
	for i, name := range []string{"RANDOM", "random"} {
		var err error
		found[i], err = fs.Lookup(t.Context(), fs.Root(), name)
		noError(t, err)
		_, err = fs.Stat(t.Context(), found[i])
		noError(t, err)
	}
	if found[0] != found[1] {
		t.Errorf("RANDOM is inode %d, and random %d", found[0], found[1])
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
