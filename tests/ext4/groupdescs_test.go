package ext4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"thintree/tests/manifest"
	"thintree/volfs"
	"thintree/volfs/ext4"
)

// groupLayouts are the ways in which group descriptors are kept and protected.
var groupLayouts = []struct {
	name   string
	mke2fs []string
	size   int // of a descriptor in bytes
}{
	{"metadata_csum", []string{"-t", "ext4"}, 64},
	{"metadata_csum, 32 bits", []string{"-t", "ext4", "-O", "^64bit"}, 32},
	{"metadata_csum_seed", []string{"-t", "ext4", "-O", "metadata_csum_seed"}, 64},
	{"uninit_bg", []string{"-t", "ext4", "-O", "^metadata_csum,uninit_bg,^64bit"}, 32},
	{"uninit_bg, 64 bits", []string{"-t", "ext4", "-O", "^metadata_csum,uninit_bg"}, 64},
	{"without flex_bg", []string{"-t", "ext4", "-O", "^flex_bg"}, 64},
	{"meta_bg", []string{"-t", "ext4", "-O", "meta_bg,^resize_inode"}, 64},
	{"sparse_super2", []string{"-t", "ext4", "-O", "sparse_super2,^resize_inode"}, 64},
	{"no checksum", []string{"-t", "ext4", "-O", "^metadata_csum,^uninit_bg"}, 64},
	{"ext3", []string{"-t", "ext3"}, 32},
	{"ext2", []string{"-t", "ext2"}, 32},
	{"ext2 without sparse_super", []string{"-t", "ext2", "-O", "^sparse_super,^resize_inode"}, 32},
}

// descDamages are what befalls descriptors. Of some the kernel thinks nothing; for
// others it refuses the whole volume.
var descDamages = []struct {
	name string
	harm func(d groupDescs)
}{
	{"checksum of the first", func(d groupDescs) { d.of(0)[0x1e] ^= 1 }},
	{"checksum of another", func(d groupDescs) { d.of(3)[0x1f] ^= 0x80 }},
	{"all checksums", func(d groupDescs) {
		for g := range groupsOfTest {
			d.of(g)[0x1e] ^= 0xff
		}
	}},
	{"free counts", func(d groupDescs) { d.of(2)[0xc], d.of(4)[0xe] = 7, 9 }},
	{"more free than there is", func(d groupDescs) { d.of(2)[0xd], d.of(4)[0xf] = 0xff, 0xff }},
	{"flags", func(d groupDescs) { d.of(1)[0x12] ^= 0x7 }},
	{"all of a group's inodes unused", func(d groupDescs) { d.of(3)[0x12] |= 1; put16(d.of(3), 0x1c, 0xffff) }},
	{"a bitmap in data", func(d groupDescs) { d.of(5).move(0x0, 300) }},
	{"an inode bitmap in data", func(d groupDescs) { d.of(5).move(0x4, 300) }},
	{"a bitmap beyond the end", func(d groupDescs) { put32(d.of(3), 0x0, 1<<24) }},
	{"an inode bitmap in block 0", func(d groupDescs) { put32(d.of(3), 0x4, 0) }},
	{"an inode table beyond the end", func(d groupDescs) { put32(d.of(3), 0x8, 1<<24) }},
	{"an inode table that ends beyond the end", func(d groupDescs) { put32(d.of(groupsOfTest-1), 0x8, groupsOfTest*8192-1) }},
	{"an inode table in the next", func(d groupDescs) { d.of(3).move(0x8, 1) }},
	{"the inode table of another", func(d groupDescs) { copy(d.of(3)[0x8:0xc], d.of(1)[0x8:]) }},
	{"the first's inode table in another's", func(d groupDescs) { copy(d.of(0)[0x8:0xc], d.of(2)[0x8:]) }},
	{"an inode table in the superblock", func(d groupDescs) { put32(d.of(0), 0x8, 1) }},
	{"a bitmap in the superblock", func(d groupDescs) { put32(d.of(0), 0x0, 1) }},
	{"a bitmap in an inode table", func(d groupDescs) { copy(d.of(3)[0x0:4], d.of(3)[0x8:]) }},
	{"a descriptor of another group", func(d groupDescs) { copy(d.of(3), d.of(2)) }},
	{"zeros", func(d groupDescs) { clear(d.of(3)) }},
	{"ones", func(d groupDescs) {
		for i := range d.of(3) {
			d.of(3)[i] = 0xff
		}
	}},
}

// groupsOfTest is how many block groups the images of these tests have.
const groupsOfTest = 8

// groupDescs are the group descriptors of an image, one after the other.
type groupDescs struct {
	p    []byte
	size int
}

type groupDesc []byte

func (d groupDescs) of(g int) groupDesc { return d.p[g*d.size : (g+1)*d.size] }

// move changes the block number at off by n.
func (d groupDesc) move(off int, n uint32) {
	put32(d, off, binary.LittleEndian.Uint32(d[off:])+n)
}

func put16(p []byte, off int, v uint16) { binary.LittleEndian.PutUint16(p[off:], v) }
func put32(p []byte, off int, v uint32) { binary.LittleEndian.PutUint32(p[off:], v) }

// editDescs changes the group descriptors of an image with blocks of 1 KiB.
func editDescs(t *testing.T, image string, size int, edit func(groupDescs)) {
	t.Helper()
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const at = 2 * kib // after the superblock
	d := groupDescs{make([]byte, groupsOfTest*size), size}
	if _, err := f.ReadAt(d.p, at); err != nil {
		t.Fatal(err)
	}
	edit(d)
	if _, err := f.WriteAt(d.p, at); err != nil {
		t.Fatal(err)
	}
}

// fillGroups makes files in all block groups: the kernel spreads the folders of the
// root over them.
func fillGroups(t *testing.T, image string) {
	t.Helper()
	k := mount(t, image)
	f := newFiller(t, k)
	for i := range 3 * groupsOfTest {
		folder := f.mkdir(fmt.Sprint(i))
		for j := range 5 {
			f.write(fmt.Sprintf("%s/%d", folder, j), []byte(strings.Repeat(fmt.Sprintf("%d in %d\n", j, i), 300*j)))
		}
		f.must(os.Symlink(strings.Repeat("l", 50+i), folder+"/link"))
	}
	k.unmount()
}

// A read-only mount takes descriptors whose checksum fails for what they say. What
// the kernel refuses as a whole is an error for the groups that are concerned, and
// shown as it was for the others.
func TestDamagedGroupDescriptorsCostNoMoreThanTheirGroups(t *testing.T) {
	t.Parallel()
	needKernel(t)
	for _, l := range groupLayouts {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			image := newImage(t, groupsOfTest*8*mib, append([]string{"-b", "1024", "-N", "2048"}, l.mke2fs...)...)
			fillGroups(t, image)
			before := kernelTruth(t, image)
			if problem := open(t, image).Info().Problem; problem != "" {
				t.Errorf("undamaged: %s", problem)
			}
			for _, d := range descDamages {
				t.Run(d.name, func(t *testing.T) {
					damaged := copyImage(t, image)
					editDescs(t, damaged, l.size, d.harm)
					compareDamaged(t, damaged, before)
					os.Remove(damaged)
				})
			}
		})
	}
}

// compareDamaged holds the reader against the kernel, or, if that refuses an image,
// against what it showed before the damage.
func compareDamaged(t *testing.T, image string, before truth) {
	t.Helper()
	fs := open(t, image)
	got, err := manifest.OfFS(t.Context(), fs, look)
	if err != nil {
		t.Fatal(err)
	}
	statfs, statfsErr := fs.Statfs(t.Context())
	k, err := tryMount(t, image, "ro", "noload", "errors=continue")
	if err != nil {
		t.Logf("the kernel: %v", err)
		t.Logf("the reader: %s", fs.Info().Problem)
		if untrue := manifest.Untrue(before.tree, got); untrue != "" {
			t.Error(untrue)
		}
		if fs.Info().Problem == "" {
			t.Error("info tells of no problem")
		}
		shown := slices.ContainsFunc(got, func(e manifest.Entry) bool { return path.Base(e.Path) == "link" })
		if readable := got[0].Err == ""; readable && !shown {
			t.Error("nothing is shown of the other groups")
		}
		return
	}
	k.unmount()
	want := kernelTruth(t, image)
	if untrue := manifest.Untrue(mend(want.tree, before.tree), got); untrue != "" {
		t.Error(untrue)
	}
	if less := manifest.Untrue(got, want.tree); less != "" {
		t.Errorf("the kernel shows more: %s", less)
	}
	if diff := cmp.Diff(want.statfs, statfs); diff != "" || statfsErr != nil {
		t.Errorf("statfs: %v (-kernel +reader)\n%s", statfsErr, diff)
	}
}

func TestTwoGroupsThatClaimOnePlaceWithGoodChecksumsAreErrors(t *testing.T) {
	t.Parallel()
	needKernel(t)
	for _, features := range []string{"metadata_csum", "^metadata_csum,uninit_bg"} {
		t.Run(features, func(t *testing.T) {
			t.Parallel()
			image := newImage(t, groupsOfTest*8*mib, "-t", "ext4", "-b", "1024", "-N", "2048", "-O", features)
			fillGroups(t, image)
			before := kernelTruth(t, image)
			var table uint32 // of group 2
			editDescs(t, image, 64, func(d groupDescs) { table = binary.LittleEndian.Uint32(d.of(2)[0x8:]) })
			commands := filepath.Join(t.TempDir(), "commands")
			text := fmt.Sprintf("set_bg 3 inode_table %d\nset_bg 3 checksum calc\n", table)
			if err := os.WriteFile(commands, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			run(t, "debugfs", "-w", "-f", commands, image)
			if _, err := tryMount(t, image, "ro", "noload"); err == nil {
				t.Fatal("the kernel mounts it")
			}
			compareDamaged(t, image, before)
			fs := open(t, image)
			for g := range uint64(groupsOfTest) {
				_, err := fs.Stat(t.Context(), volfs.Ino(g*2048/groupsOfTest+12))
				if wrong := g == 2 || g == 3; wrong != errors.Is(err, syscall.EIO) {
					t.Errorf("an inode of group %d: %v", g, err)
				}
			}
		})
	}
}

func TestMetaBlockGroupsThatBeginBehindTheLastAreRefused(t *testing.T) {
	t.Parallel()
	needKernel(t)
	for first, want := range map[int]bool{0: true, 1: true, 2: false} {
		image := newImage(t, 32*mib, "-t", "ext4", "-O", "meta_bg,^resize_inode")
		debugfs(t, image, fmt.Sprintf("set_super_value first_meta_bg %d", first))
		k, err := tryMount(t, image, "ro", "noload")
		if (err == nil) != want {
			t.Fatalf("s_first_meta_bg %d: the kernel's mount: %v", first, err)
		}
		if want {
			k.unmount()
		}
		if _, err := ext4.Open(t.Context(), openVolume(t, image), volfs.Options{}); (err == nil) != want {
			t.Errorf("s_first_meta_bg %d: %v", first, err)
		}
	}
}
