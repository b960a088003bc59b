package ext4

import (
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/tests/manifest"
)

// The reader shows of a damaged filesystem what the kernel shows, or an error. If the
// kernel fails, the reader may do better, as long as it shows what was there before
// the damage.
func TestDamagedFilesystemShowsNothingFalse(t *testing.T) {
	t.Parallel()
	needKernel(t)
	for _, c := range []struct {
		name    string
		mke2fs  []string
		damages []damage
	}{
		{"with checksums", ext4With(), damages},
		{"without checksums", ext4With("-O", "^metadata_csum"), damages},
		{"with block maps", []string{"-t", "ext2", "-b", "4096"}, mapDamages},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			image := newImage(t, 64*mib, c.mke2fs...)
			blocks := fillForDamage(t, image)
			before := kernelTruth(t, image).tree
			for _, d := range c.damages {
				t.Run(d.name, func(t *testing.T) {
					t.Parallel()
					damaged := copyImage(t, image)
					for _, command := range d.commands {
						run(t, "debugfs", "-w", "-R", blocks.Replace(command), damaged)
					}
					want := mend(kernelTruth(t, damaged).tree, before)
					got, err := manifest.OfFS(t.Context(), open(t, damaged), look)
					if err != nil {
						t.Fatal(err)
					}
					if untrue := manifest.Untrue(want, got); untrue != "" {
						t.Error(untrue)
					}
				})
			}
		})
	}
}

// damage is what befalls a filesystem: commands of debugfs(8), which corrects
// checksums. INDEX and XATTR stand for block numbers: see fillForDamage.
type damage struct {
	name     string
	commands []string
}

var mapDamages = []damage{
	{"block beyond the filesystem", []string{"set_inode_field /file block[3] 0xfffffff0"}},
	{"block in the superblock", []string{"set_inode_field /file block[3] 0"}},
	{"block in an inode table", []string{"set_inode_field /file block[3] 40"}},
	{"indirect block beyond the filesystem", []string{"set_inode_field /fragments block[IND] 0xfffffff0"}},
	{"double indirect block in the superblock", []string{"set_inode_field /fragments block[DIND] 1"}},
	{"indirect block zeroed", []string{"zap_block INDEX"}},
	{"indirect block of ones", []string{"zap_block -p 255 INDEX"}},
	{"indirect block that is its own", []string{"set_inode_field /fragments block[DIND] INDEX"}},
	{"folder block of ones", []string{"zap_block -p 255 -f /folder 0"}},
	{"folder block beyond the filesystem", []string{"set_inode_field /folder block[0] 0xfffff0"}},
	{"size beyond all limits", []string{"set_inode_field /file size 0x7fffffffffffffff"}},
	{"mode of no type", []string{"set_inode_field /file mode 0644"}},
	{"no link", []string{"set_inode_field /file links_count 0"}},
	{"xattr block of ones", []string{"zap_block -p 255 XATTR"}},
}

var damages = []damage{
	{"magic of an extent header", []string{"set_inode_field /file block[0] 0x1234"}},
	{"depth of an extent tree", []string{"set_inode_field /file block[1] 0x0007"}},
	{"more extents than fit", []string{"set_inode_field /file block[0] 0x0009f30a"}},
	{"extent beyond the filesystem", []string{"set_inode_field /file block[5] 0xfffffff0"}},
	{"extent in the superblock", []string{"set_inode_field /file block[5] 0"}},
	{"extent in an inode table", []string{"set_inode_field /file block[5] 40"}},
	{"extents that overlap", []string{"set_inode_field /fragments block[6] 0"}},
	{"index block zeroed", []string{"zap_block INDEX"}},
	{"folder block zeroed", []string{"zap_block -f /folder 0"}},
	{"folder block of ones", []string{"zap_block -p 255 -f /folder 0"}},
	{"hashed folder's root damaged", []string{"zap_block -o 40 -l 60 -p 255 -f /hashed 0"}},
	{"hashed folder's leaf zeroed", []string{"zap_block -f /hashed 3"}},
	{"folder of size 0", []string{"set_inode_field /folder size 0"}},
	{"folder of odd size", []string{"set_inode_field /folder size 4097"}},
	{"folder larger than its blocks", []string{"set_inode_field /folder size 40960"}},
	{"size beyond all limits", []string{"set_inode_field /file size 0x7fffffffffffffff"}},
	{"negative size", []string{"set_inode_field /file size 0xffffffffffffff00"}},
	{"no link", []string{"set_inode_field /file links_count 0"}},
	{"no link of a folder", []string{"set_inode_field /folder links_count 0"}},
	{"mode of no type", []string{"set_inode_field /file mode 0644"}},
	{"mode of two types", []string{"set_inode_field /file mode 0170644"}},
	{"mode 0", []string{"set_inode_field /file mode 0"}},
	{"extra_isize beyond the inode", []string{"set_inode_field /file extra_isize 200"}},
	{"extra_isize not of fours", []string{"set_inode_field /file extra_isize 30"}},
	{"xattr block zeroed", []string{"zap_block XATTR"}},
	{"xattr block of ones", []string{"zap_block -p 255 XATTR"}},
	{"xattr block's entries damaged", []string{"zap_block -o 32 -l 8 -p 255 XATTR"}},
	{"xattr block beyond the filesystem", []string{"set_inode_field /xattr file_acl 0xffffff"}},
	{"long link zeroed", []string{"zap_block -f /long 0"}},
	{"link of size 0", []string{"set_inode_field /long size 0"}},
	{"link larger than a block", []string{"set_inode_field /long size 5000"}},
	{"short link of size 0", []string{"set_inode_field /short size 0"}},
	{"short link of size 60", []string{"set_inode_field /short size 60"}},
	{"inline data that is not there", []string{"set_inode_field /file flags 0x10080000"}},
	{"index flag of a file", []string{"set_inode_field /file flags 0x81000"}},
	{"ea_inode flag", []string{"set_inode_field /file flags 0x280000"}},
	{"encrypted flag without the feature", []string{"set_inode_field /file flags 0x80800"}},
	{"casefold flag without the feature", []string{"set_inode_field /folder flags 0x40080000"}},
	{"verity flag without the feature", []string{"set_inode_field /file flags 0x180000"}},
	{"entry of a free inode", []string{"clri /file"}},
	{"entry of a reserved inode", []string{"link <7> /reserved", "link <8> /reserved too"}},
	{"entry of an inode beyond the last", []string{"link <99999999> /beyond"}},
	{"folder in itself", []string{"link /folder /folder/loop"}},
	{"folder in two places", []string{"link /folder /again"}},
	{"parent entry elsewhere", []string{"unlink /folder/..", "link /hashed /folder/.."}},
}

// fillForDamage makes one of each kind, and returns the places of the blocks that
// commands name: a block of /fragments' extent tree or its first indirect block,
// and the block of /xattr's extended attributes.
func fillForDamage(t *testing.T, image string) *strings.Replacer {
	t.Helper()
	k := mount(t, image)
	f := newFiller(t, k)
	f.write(f.path("file"), f.bytes(40_000))
	f.create(f.path("fragments"), func(file *os.File) {
		for i := range int64(400) {
			f.writeAt(file, 2*i*f.blockSize, 10)
		}
	})
	for i := range 20 {
		f.write(f.mkdir("folder")+fmt.Sprintf("/%d", i), nil)
	}
	for i := range 900 {
		f.write(f.mkdir("hashed")+fmt.Sprintf("/with a long name %d", i), nil)
	}
	f.must(os.Symlink(strings.Repeat("l", 1000), f.path("long")))
	f.must(os.Symlink("target", f.path("short")))
	f.write(f.path("xattr"), nil)
	f.must(unix.Lsetxattr(f.path("xattr"), "user.large", f.bytes(2000), 0))
	f.write(f.path("other"), []byte("which nothing befalls"))
	k.unmount()
	stat := run(t, "debugfs", "-R", "stat /fragments", image)
	index := regexp.MustCompile(`\((?:ETB0|IND)\):(\d+)`).FindStringSubmatch(stat)
	xattr := regexp.MustCompile(`File ACL: (\d+)`).FindStringSubmatch(run(t, "debugfs", "-R", "stat /xattr", image))
	if index == nil || xattr == nil || xattr[1] == "0" {
		t.Fatalf("index block %q, xattr block %q", index, xattr)
	}
	return strings.NewReplacer("INDEX", index[1], "XATTR", xattr[1])
}

// mend is what can be shown of a damaged tree: what the kernel shows, and of what
// fails now what the kernel showed before.
func mend(damaged, before manifest.Manifest) manifest.Manifest {
	old := map[string]manifest.Entry{}
	for _, e := range before {
		old[e.Path] = e
	}
	var out manifest.Manifest
	there, failed := map[string]bool{}, map[string]bool{}
	for _, e := range damaged {
		was, known := old[e.Path]
		switch {
		case e.Err != "" && there[e.Path]: // a listing, after its folder
			failed[e.Path] = true
			folder := &out[slices.IndexFunc(out, func(o manifest.Entry) bool { return o.Path == e.Path })]
			folder.More.Entries = append(folder.More.Entries, was.More.Entries...)
			slices.Sort(folder.More.Entries)
		case e.Err != "" && known:
			out = append(out, was)
			failed[e.Path] = true
		case e.Err == "":
			if known && strings.HasPrefix(e.Content, "!") {
				e.Content, e.More.Data = was.Content, was.More.Data
			}
			if known && strings.Contains(e.Xattrs, "!") {
				e.Xattrs = was.Xattrs
			}
			out = append(out, e)
		}
		there[e.Path] = true
	}
	for _, e := range before {
		if !there[e.Path] && failed[path.Dir(e.Path)] {
			out = append(out, e)
			failed[e.Path] = true // and so what is beneath
		}
	}
	return out
}
