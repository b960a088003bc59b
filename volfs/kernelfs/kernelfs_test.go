package kernelfs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"thintree/tests/manifest"
	"thintree/thin/loop"
	"thintree/volfs"
	"thintree/volfs/kernelfs"
)

// kinds are filesystems that this package reads, with the command that makes one and the
// options of the mount that it is compared with.
var kinds = []struct{ fs, mkfs, options string }{
	{"ext2", "mkfs.ext2 -q", "ro"},
	{"ext3", "mkfs.ext3 -q", "ro,noload"},
	{"ext4", "mkfs.ext4 -q", "ro,noload"},
	{"xfs", "mkfs.xfs -q", "ro,norecovery,nouuid"},
	{"btrfs", "mkfs.btrfs -q", "ro,rescue=nologreplay"},
}

const fill = `
mkdir -p dir/deep/er many; echo hello > dir/file; ln dir/file hard; ln -s dir/file link; ln -s /none dangling
mknod fifo p; mknod null c 1 3; mknod sda b 8 0; chmod 4755 dir/file; chown 1000:1001 dir/deep
setfattr -n user.a -v value dir/file; setfattr -n trusted.b -v secret dir; setfattr -h -n trusted.c -v x link
setfacl -m u:1234:rwx dir/file
truncate -s 100M sparse; printf data | dd of=sparse bs=1 seek=50000000 conv=notrunc status=none
head -c 3000000 /dev/urandom > big
touch -d @1234567890.123456789 old
for i in $(seq 1500); do echo $i > many/$i; done
printf x > "$(printf 'odd\nname\xff')"
`

func TestTreeIsThatOfTheKernelsOwnMount(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.fs, func(t *testing.T) {
			t.Parallel()
			isThatOfTheKernelsOwnMount(t, image(t, k.mkfs), k.fs, k.options)
		})
	}
}

func TestPackedTreeIsThatOfTheKernelsOwnMount(t *testing.T) {
	t.Parallel()
	for fs, pack := range map[string]string{
		"erofs":    "mkfs.erofs -x1 %[1]s %[2]s",
		"squashfs": "mksquashfs %[2]s %[1]s -quiet -no-progress",
	} {
		t.Run(fs, func(t *testing.T) {
			t.Parallel()
			if os.Getuid() != 0 {
				t.Skip("needs root, to mount")
			}
			tree, path := t.TempDir(), filepath.Join(t.TempDir(), "image")
			sh(t, "cd "+tree+"\n"+fill)
			sh(t, fmt.Sprintf(pack, path, tree))
			l, err := loop.Attach(t.Context(), path, loop.Options{ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			isThatOfTheKernelsOwnMount(t, l.Path(), fs, "ro")
		})
	}
}

func TestLargeXFSIsShown(t *testing.T) {
	t.Parallel()
	device := device(t, "f() { truncate -s 4T $1; mkfs.xfs -q -l size=64m $1; }; f")
	mnt := mount(t, device, "xfs", "rw")
	// xfs spreads folders over the disk, and puts a file near its folder.
	sh(t, "cd "+mnt+`; for d in $(seq 8); do mkdir $d; echo $d > $d/file; ln -s file $d/link; done; cd /; umount `+mnt)
	isThatOfTheKernelsOwnMount(t, device, "xfs", "ro,norecovery")
	highest := volfs.Ino(0)
	fs := open(t, device, "xfs")
	err := fs.ReadDir(t.Context(), fs.Root(), 0, func(e volfs.DirEntry) bool {
		highest = max(highest, e.Ino)
		return true
	})
	if err != nil || highest < 1<<32 {
		t.Errorf("the highest inode number is %d: %v", highest, err)
	}
}

func TestSubvolumesAreShown(t *testing.T) {
	t.Parallel()
	device := device(t, "mkfs.btrfs -q")
	mnt := mount(t, device, "btrfs", "rw")
	sh(t, fmt.Sprintf(`cd %s
for s in a b a/inner dir/deep/c; do mkdir -p $(dirname $s); btrfs -q subvolume create $s; echo $s > $s/file; mkdir $s/folder; ln -s file $s/link; done
btrfs -q subvolume snapshot b dir/copy; echo hello > file; btrfs -q subvolume delete --commit-after b
cd /; umount %[1]s; mount -o ro,rescue=nologreplay %s %[1]s`, mnt, device))
	want, err := manifest.OfDir(t.Context(), mnt, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[volfs.Ino]string{}
	for range 2 {
		fs := open(t, device, "btrfs")
		got, err := manifest.OfFS(t.Context(), fs, manifest.Options{More: true})
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range got {
			if e.More == nil {
				continue // the comparison reports the error
			}
			ino := volfs.Ino(e.More.Ino)
			if numbers[ino] != "" && numbers[ino] != e.Path {
				t.Errorf("inode %d is %s and %s", ino, numbers[ino], e.Path)
			}
			numbers[ino] = e.Path
			got[i].More = nil
		}
		if diff := manifest.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestManySubvolumesAreShown(t *testing.T) {
	t.Parallel()
	device := device(t, "mkfs.btrfs -q")
	mnt := mount(t, device, "btrfs", "rw")
	sh(t, fmt.Sprintf(`cd %s
for s in $(seq 300); do btrfs -q subvolume create $s; done
for s in $(seq 300); do echo $s > $s/file; done
cd /; umount %[1]s; mount -o ro,rescue=nologreplay %s %[1]s`, mnt, device))
	want, err := manifest.OfDir(t.Context(), mnt, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := manifest.OfFS(t.Context(), open(t, device, "btrfs"), manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := manifest.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// isThatOfTheKernelsOwnMount compares the tree on a device with a mount by mount(8).
func isThatOfTheKernelsOwnMount(t *testing.T, device, fs, options string) {
	t.Helper()
	mnt := mount(t, device, fs, options)
	want, err := manifest.OfDir(t.Context(), mnt, manifest.Options{More: true})
	if err != nil {
		t.Fatal(err)
	}
	sh(t, "umount "+mnt)
	got, err := manifest.OfFS(t.Context(), open(t, device, fs), manifest.Options{More: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := manifest.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func open(t *testing.T, device, fs string) *kernelfs.FS {
	t.Helper()
	f, err := os.Open(device)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	k, err := kernelfs.Open(f, volfs.Info{Type: fs}, volfs.JournalSkip)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

// image is a block device with a filled filesystem.
func image(t *testing.T, mkfs string) string {
	t.Helper()
	device := device(t, mkfs)
	mnt := mount(t, device, "auto", "rw")
	sh(t, "cd "+mnt+"\n"+fill)
	sh(t, "umount "+mnt)
	return device
}

// device is a block device with an empty filesystem.
func device(t testing.TB, mkfs string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount")
	}
	path := filepath.Join(t.TempDir(), "image")
	sh(t, fmt.Sprintf("truncate -s 320M %s && %s %s", path, mkfs, path))
	l, err := loop.Attach(t.Context(), path, loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Path()
}

func mount(t *testing.T, device, fs, options string) string {
	t.Helper()
	mnt := t.TempDir()
	sh(t, fmt.Sprintf("mount -t %s -o %s %s %s", fs, options, device, mnt))
	t.Cleanup(func() { exec.Command("umount", mnt).Run() })
	return mnt
}

func sh(t testing.TB, command string) {
	t.Helper()
	if out, err := exec.Command("bash", "-ec", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}
