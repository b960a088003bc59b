package ext4

import (
	"fmt"
	"os"
	"strings"
)

func (f *filler) folders() {
	f.mkdir("folders/empty")
	one := f.mkdir("folders/one")
	f.write(one+"/x", nil)

	hundred := f.mkdir("folders/hundred")
	for i := range 100 {
		f.write(fmt.Sprintf("%s/%d", hundred, i), nil)
	}
	f.oddNames()

	// Long names make many blocks of few entries. Bytes above 0x7f hash
	// differently where char is signed.
	thousands := f.mkdir("folders/thousands")
	f.write(thousands+"/target", []byte("one file, many names"))
	for i := range 1500 {
		name := fmt.Sprintf("%d-%s-\xc3\xa9\xff%d", i, strings.Repeat("n", i%190), i)
		f.must(os.Link(thousands+"/target", thousands+"/"+name))
	}

	thinned := f.mkdir("folders/thinned")
	for i := range 600 {
		f.write(fmt.Sprintf("%s/some name %d", thinned, i), nil)
	}
	for i := range 600 {
		if i%3 != 0 {
			f.must(os.Remove(fmt.Sprintf("%s/some name %d", thinned, i)))
		}
	}
	emptied := f.mkdir("folders/emptied")
	for i := range 200 {
		f.must(os.Mkdir(fmt.Sprintf("%s/folder %d", emptied, i), 0o700))
	}
	for i := range 200 {
		f.must(os.Remove(fmt.Sprintf("%s/folder %d", emptied, i)))
	}
	f.mkdir("folders/deep", strings.Repeat("d/", 60))

	// Names that come and go in a folder of a few entries, which with
	// inline_data lies in its inode.
	few := f.mkdir("folders/few")
	for i := range 12 {
		f.must(os.Mkdir(fmt.Sprintf("%s/%d", few, i), 0o755))
		if i%3 == 1 {
			f.must(os.Remove(fmt.Sprintf("%s/%d", few, i)))
		}
	}
}

func (f *filler) oddNames() {
	odd := f.mkdir("folders/odd names")
	for _, name := range []string{
		"new\nline", "\n", " ", " before", "after ", "-rf", "--", "quote\"", "'", "back\\slash", "\\", "tab\t", "\x01\x02\x7f",
		"\xff", "\xff\xfe\x80", "\xc3\x28", "ünïcode", "u\u0308ni\u0308code", "日本語", "\U0001f5a5", "...", "..x", ".hidden", "*", "?", "%s%n", "$HOME", "a=b,c",
		strings.Repeat("x", 254), strings.Repeat("x", 255), strings.Repeat("é", 127) + "x", strings.Repeat("\xff", 255),
	} {
		f.write(odd+"/"+name, []byte(name))
	}
}

func (f *filler) links() {
	dir := f.mkdir("links")
	for _, length := range []int64{1, 2, 30, 58, 59, 60, 61, 100, 155, 156, 157, 160, 250, 500, f.blockSize - 1} {
		target := strings.Repeat("t/", int(length))[:length]
		f.must(os.Symlink(target, fmt.Sprintf("%s/%d", dir, length)))
	}
	f.must(os.Symlink("\xff\n\"odd\" ü", dir+"/odd"))
	f.must(os.Symlink("/nowhere", dir+"/absolute"))

	hard := f.mkdir("hard links")
	f.write(hard+"/0", []byte("linked"))
	for i := 1; i < 40; i++ {
		f.must(os.Link(hard+"/0", fmt.Sprintf("%s/%d", hard, i)))
	}
	f.must(os.Link(dir+"/60", hard+"/of a symbolic link"))
}
