package ext4

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"thintree/volfs"
)

// blockOf returns the number of a file's block in the filesystem, from debugfs(8).
func blockOf(t *testing.T, image, path string, logical int) int {
	t.Helper()
	out := program(t, "debugfs", "-R", fmt.Sprintf("bmap %s %d", path, logical), image)
	m := regexp.MustCompile(`(?m)^\d+$`).FindString(out)
	n, err := strconv.Atoi(m)
	if err != nil || n == 0 {
		t.Fatalf("debugfs bmap: %q", out)
	}
	return n
}

func TestUnsupportedFeaturesAreNamed(t *testing.T) {
	t.Parallel()
	for feature, want := range map[uint32]string{0x8: "journal_dev", 0x1: "compression", 0x1000: "dirdata", 1 << 30: "FEATURE_I30"} {
		v := load(t, makeImage(t, "1M", nil, "-t", "ext4", "-O", "^metadata_csum,^has_journal"))
		incompat := v[superblockOffset+0x60:]
		binary.LittleEndian.PutUint32(incompat, binary.LittleEndian.Uint32(incompat)|feature)
		_, err := Open(context.Background(), v, volfs.Options{})
		var u *volfs.UnsupportedError
		if !errors.As(err, &u) || !strings.Contains(err.Error(), want) || !errors.Is(err, syscall.EOPNOTSUPP) {
			t.Errorf("feature %#x: %v", feature, err)
		}
	}
}

func TestADamagedSuperblockIsAnErrorThatMentionsBackups(t *testing.T) {
	t.Parallel()
	image := makeImage(t, "1M", nil, "-t", "ext4")
	for _, off := range []int{0x38, 0x78, 0x3fc} {
		v := load(t, image)
		v[superblockOffset+off] ^= 1
		_, err := Open(context.Background(), v, volfs.Options{})
		wantDamage(t, err)
		if err == nil || !strings.Contains(err.Error(), "backup") {
			t.Errorf("byte %#x: %v", off, err)
		}
	}
	_, err := Open(context.Background(), memVolume(make([]byte, 1500)), volfs.Options{})
	wantDamage(t, err)
}

func TestAVolumeThatEndsEarlyIsReadUpToItsEnd(t *testing.T) {
	t.Parallel()
	files := contents()
	image := makeImage(t, "4M", func(dir string) {
		for name, p := range files {
			writeFile(t, filepath.Join(dir, name), string(p))
		}
	}, "-t", "ext4", "-b", "1024", "-O", "^has_journal")
	end := blockOf(t, image, "300K", 200) << 10
	fs := mustOpen(t, load(t, image)[:end])
	f, err := fs.Open(context.Background(), resolve(t, fs, "300K"))
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 300<<10)
	n, err := f.ReadAt(t.Context(), p, 0)
	wantDamage(t, err)
	if n != 200<<10 || string(p[:n]) != string(files["300K"][:n]) {
		t.Errorf("%d bytes before the error", n)
	}
}

func TestADamagedBlockOfAFolderLosesNoOther(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(block []byte){
		"a byte":          func(p []byte) { p[20] ^= 0x40 },
		"a name":          func(p []byte) { p[dirHeaderSize] = '/' },
		"an inode number": func(p []byte) { p[3] = 0xff },
		"a length":        func(p []byte) { p[4] = 7 },
		"a length of 0":   func(p []byte) { p[4], p[5] = 0, 0 },
	} {
		for _, args := range [][]string{{"-O", "metadata_csum"}, {"-O", "^metadata_csum"}} {
			if name == "a byte" && args[1] == "^metadata_csum" {
				continue // nothing shows the damage
			}
			image := manyImage(t, args...)
			v := load(t, image)
			block := blockOf(t, image, "/many", 4)
			damage(v[block<<10 : (block+1)<<10])
			fs := mustOpen(t, v)
			dir := resolve(t, fs, "many")
			got, err := names(fs, dir)
			wantDamage(t, err)
			if len(got) < 250 || len(got) >= 300 {
				t.Errorf("%s, %v: %d names", name, args, len(got))
			}
			lost := 0
			for i := range 300 {
				if _, err := fs.Lookup(context.Background(), dir, manyName(i)); err != nil {
					wantDamage(t, err)
					lost++
				}
			}
			if lost > 300-len(got) {
				t.Errorf("%s, %v: %d names are not found, %d not listed", name, args, lost, 300-len(got))
			}
			// A listing in two parts returns the error too.
			var cookie uint64
			_ = fs.ReadDir(context.Background(), dir, 0, func(e volfs.DirEntry) bool { cookie = e.Cookie; return cookie < 8<<10 })
			wantDamage(t, fs.ReadDir(context.Background(), dir, cookie, func(volfs.DirEntry) bool { return true }))
		}
	}
}

func TestADamagedIndexIsAnErrorOrPassedOver(t *testing.T) {
	t.Parallel()
	image := manyImage(t, "-O", "metadata_csum")
	v := load(t, image)
	v[blockOf(t, image, "/many", 0)<<10+dxRootStart+8] ^= 1
	fs := mustOpen(t, v)
	dir := resolve(t, fs, "many")
	_, err := fs.Lookup(context.Background(), dir, manyName(1))
	wantDamage(t, err)
	got, err := names(fs, dir)
	wantDamage(t, err)
	if len(got) != 300 {
		t.Errorf("%d names", len(got))
	}

	image = manyImage(t, "-O", "^metadata_csum")
	v = load(t, image)
	v[blockOf(t, image, "/many", 0)<<10+dxRootInfo+4] = 99 // hash_version
	fs = mustOpen(t, v)
	if _, err := fs.Lookup(context.Background(), resolve(t, fs, "many"), manyName(1)); err != nil {
		t.Errorf("with an unknown hash: %v", err)
	}
}

func TestDamagedInodesAreErrors(t *testing.T) {
	t.Parallel()
	image := makeImage(t, "1M", func(dir string) { writeFile(t, filepath.Join(dir, "f"), "content") }, "-t", "ext4", "-O", "^has_journal")
	good := mustOpen(t, load(t, image))
	ino := resolve(t, good, "f")
	g, err := good.group(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	off := int(g.inodeTable)*good.sb.blockSize + (int(ino)-1)*good.sb.inodeSize
	for _, byteOff := range []int{0, 4, 0x28, 0x7c, 0x82, 0x90, 255} {
		v := load(t, image)
		v[off+byteOff] ^= 1
		fs := mustOpen(t, v)
		_, err := fs.Stat(context.Background(), ino)
		wantDamage(t, err)
		if list, err := names(fs, fs.Root()); err != nil || len(list) != 2 {
			t.Errorf("the folder that it is in: %q, %v", list, err)
		}
	}
}

// editInode changes bytes of the inode of a file in an image without checksums.
func editInode(t *testing.T, v memVolume, path string, edit func(raw []byte)) (*FS, volfs.Ino) {
	t.Helper()
	fs := mustOpen(t, v)
	ino := resolve(t, fs, path)
	g, err := fs.group(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	off := int(g.inodeTable)*fs.sb.blockSize + (int(ino)-1)*fs.sb.inodeSize
	edit(v[off : off+fs.sb.inodeSize])
	return mustOpen(t, v), ino
}

func plainImage(t *testing.T, args ...string) string {
	t.Helper()
	return makeImage(t, "2M", func(dir string) {
		writeFile(t, filepath.Join(dir, "f"), strings.Repeat("x", 100<<10))
		for _, d := range []string{"d/e", "d/g"} {
			if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}, append([]string{"-b", "1024", "-N", "64", "-O", "^metadata_csum,^has_journal,^uninit_bg"}, args...)...)
}

func TestExtentsThatLoopAreErrors(t *testing.T) {
	t.Parallel()
	image := plainImage(t, "-t", "ext4")
	block := blockOf(t, image, "/f", 3)
	v := load(t, image)
	index := []byte{0x0a, 0xf3, 1, 0, 4, 0, 3, 0, 0, 0, 0, 0, // depth 3, one entry
		0, 0, 0, 0, byte(block), byte(block >> 8), 0, 0, 0, 0, 0, 0}
	copy(v[block<<10:], index)
	v[block<<10+6] = 2 // its child is itself
	fs, ino := editInode(t, v, "f", func(raw []byte) { copy(raw[iBlockOff:], index) })
	f, err := fs.Open(context.Background(), ino)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.ReadAt(t.Context(), make([]byte, 10), 0)
	wantDamage(t, err)
}

func TestFilesDoNotShowTheFilesystemsOwnBlocks(t *testing.T) {
	t.Parallel()
	image := plainImage(t, "-t", "ext2")
	good := mustOpen(t, load(t, image))
	g, err := good.group(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range []uint64{1, 2, g.blockBitmap, g.inodeTable, g.inodeTable + 3, 1 << 30} {
		fs, ino := editInode(t, load(t, image), "f", func(raw []byte) {
			binary.LittleEndian.PutUint32(raw[iBlockOff+8:], uint32(block))
		})
		f, err := fs.Open(context.Background(), ino)
		if err != nil {
			t.Fatal(err)
		}
		n, err := f.ReadAt(t.Context(), make([]byte, 5000), 0)
		wantDamage(t, err)
		if n != 2048 {
			t.Errorf("block %d: %d bytes before the error", block, n)
		}
	}
}

func TestAFolderOfHugeSizeIsListedSoon(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-t", "ext4", "-O", "large_dir"}, {"-t", "ext2"}} {
		fs, ino := editInode(t, load(t, plainImage(t, args...)), "d", func(raw []byte) {
			binary.LittleEndian.PutUint32(raw[0x4:], 0xfffffc00)
		})
		list, err := names(fs, ino)
		wantDamage(t, err)
		if len(list) != 2 {
			t.Errorf("%v: %q", args, list)
		}
	}
}

func TestAFolderThatLiesInItselfIsAnError(t *testing.T) {
	t.Parallel()
	image := plainImage(t, "-t", "ext4")
	v := load(t, image)
	fs := mustOpen(t, v)
	above, block := resolve(t, fs, "d"), blockOf(t, image, "/d", 0)
	p := v[block<<10 : (block+1)<<10]
	i := strings.Index(string(p), "\x01\x02e\x00") // an entry's lengths, type and name
	if i < 6 {
		t.Fatalf("no entry e in %q", p[:64])
	}
	binary.LittleEndian.PutUint32(p[i-6:], uint32(above))
	_, err := mustOpen(t, v).Lookup(context.Background(), above, "e")
	wantDamage(t, err)
}

func TestAnEntryForAFreeInodeIsAnError(t *testing.T) {
	t.Parallel()
	fs, _ := editInode(t, load(t, plainImage(t, "-t", "ext4")), "f", func(raw []byte) { raw[0x1a], raw[0x1b] = 0, 0 })
	_, err := fs.Lookup(context.Background(), fs.Root(), "f")
	wantDamage(t, err)
	if errors.Is(err, syscall.ENOENT) {
		t.Errorf("%v", err)
	}
}

func TestADamagedValueInAnInodeIsAnError(t *testing.T) {
	t.Parallel()
	image := makeImage(t, "2M", func(dir string) { writeFile(t, filepath.Join(dir, "f"), "") }, "-t", "ext4", "-b", "1024", "-O", "ea_inode")
	value := filepath.Join(t.TempDir(), "value")
	writeFile(t, value, strings.Repeat("a value to be found ", 300))
	debugfs(t, image, "ea_set -f "+value+" f user.large")
	v := load(t, image)
	i := strings.Index(string(v), "a value to be found ")
	if i < 0 {
		t.Fatal("no value in the image")
	}
	v[i] = 'A'
	fs := mustOpen(t, v)
	_, err := fs.Xattr(context.Background(), resolve(t, fs, "f"), "user.large")
	wantDamage(t, err)
}

func TestADamagedBlockOfAttributesIsAnError(t *testing.T) {
	t.Parallel()
	image := makeImage(t, "2M", func(dir string) { writeFile(t, filepath.Join(dir, "f"), "") }, "-t", "ext4", "-b", "1024")
	value := filepath.Join(t.TempDir(), "value")
	writeFile(t, value, strings.Repeat("a value to be found ", 30))
	debugfs(t, image, "ea_set -f "+value+" f user.large")
	v := load(t, image)
	v[strings.Index(string(v), "a value to be found ")] = 'A'
	fs := mustOpen(t, v)
	ino := resolve(t, fs, "f")
	_, err := fs.Xattr(context.Background(), ino, "user.large")
	wantDamage(t, err)
	_, err = fs.Xattrs(context.Background(), ino)
	wantDamage(t, err)
	if _, err := fs.Stat(context.Background(), ino); err != nil {
		t.Errorf("its attributes otherwise: %v", err)
	}
}
