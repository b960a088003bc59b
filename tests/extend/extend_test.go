package extend

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// top is the repository.
const top = "../.."

// addition is what is done to the module for a toy: a folder with one file comes, and a
// list gets its line, with the import of the folder.
type addition struct {
	toy     string // the file in testdata
	folder  string // the toy's package in the module
	list    string // the file that has the list
	element string // the toy's line in the list
	before  string // the line of another package that it comes before
}

var additions = []addition{
	{"reader", "volfs/toyreader", "volfs/readers/readers.go", "\ttoyreader.Reader,", "\text4.Reader,"},
	{"system", "meta/toysystem", "meta/systems/systems.go", "\t\ttoysystem.System,", "\t\tdocker.System,"},
}

func TestAToyReaderAndAToySystemTakeAFolderAndALineEach(t *testing.T) {
	t.Parallel()
	module := copyModule(t)
	for _, a := range additions {
		a.apply(t, module)
	}
	onlyAdditions(t, module)
	program := filepath.Join(t.TempDir(), "thintree")
	run(t, module, "go", "build", "-trimpath", "-o", program, ".")

	dir := toyPool(t)
	source := "toy:" + dir
	t.Run("the system lists its volumes", func(t *testing.T) {
		for _, arg := range []string{source, dir} {
			if got := run(t, dir, program, "ls", arg); got != "one\n" {
				t.Errorf("ls %s printed %q", arg, got)
			}
		}
	})
	t.Run("the help names the system", func(t *testing.T) {
		const line = "   toy:DIR           a folder with toy.metadata, toy.data and toy.names\n"
		if got := run(t, dir, program, "ls", "--help"); !strings.Contains(got, line) {
			t.Errorf("ls --help printed\n%s", got)
		}
	})
	t.Run("the reader's file is shown", func(t *testing.T) {
		if got := run(t, dir, program, "ls", source, "one:/"); got != "hello.txt\n" {
			t.Errorf("ls one:/ printed %q", got)
		}
		if got := run(t, dir, program, "cat", source, "one:/hello.txt"); got != "hello from the toy reader\n" {
			t.Errorf("cat printed %q", got)
		}
		if got := run(t, dir, program, "info", source, "one"); !strings.Contains(got, "squashfs") {
			t.Errorf("info printed\n%s", got)
		}
	})
}

// copyModule copies what the program is built from into a temporary folder.
func copyModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range moduleFiles(t, top) {
		text, err := os.ReadFile(filepath.Join(top, name))
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// moduleFiles lists the files in a folder that the program is built from.
func moduleFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "build", "tests"}, name):
			return fs.SkipDir
		case !d.Type().IsRegular() || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		if strings.HasSuffix(name, ".go") || slices.Contains([]string{"go.mod", "go.sum"}, name) {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// apply adds the toy to a copy of the module.
func (a addition) apply(t *testing.T, module string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", a.toy, "toy.go"))
	if err == nil {
		err = os.Mkdir(filepath.Join(module, a.folder), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(module, a.folder, "toy.go"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(module, a.list)
	if text, err = os.ReadFile(list); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	lines = insertBefore(t, lines, ")", "\t\"thintree/"+a.folder+"\"")
	lines = insertBefore(t, lines, a.before, a.element)
	if err := os.WriteFile(list, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}

// insertBefore inserts a line before the first that is next.
func insertBefore(t *testing.T, lines []string, next, line string) []string {
	t.Helper()
	i := slices.Index(lines, next)
	if i < 0 {
		t.Fatalf("no line %q", next)
	}
	return slices.Insert(lines, i, line)
}

// onlyAdditions verifies that a copy of the module differs from the module in nothing
// but the toys' folders and their lines.
func onlyAdditions(t *testing.T, module string) {
	t.Helper()
	original := moduleFiles(t, top)
	for _, name := range moduleFiles(t, module) {
		copied := read(t, filepath.Join(module, name))
		i := slices.IndexFunc(additions, func(a addition) bool { return name == a.list })
		switch {
		case slices.ContainsFunc(additions, func(a addition) bool { return filepath.Dir(name) == a.folder }):
			continue
		case !slices.Contains(original, name):
			t.Errorf("%s was added", name)
			continue
		case i >= 0:
			a := additions[i]
			copied = slices.DeleteFunc(copied, func(line string) bool {
				return line == a.element || line == "\t\"thintree/"+a.folder+"\""
			})
		}
		if !slices.Equal(copied, read(t, filepath.Join(top, name))) {
			t.Errorf("%s was changed", name)
		}
	}
}

func read(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}

// run runs a command in a folder and returns its standard output. It must succeed and
// write nothing to standard error.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.String()
}

// toyPool makes a folder that the toy system takes: a pool with one volume, which begins
// with the superblock of a squashfs.
func toyPool(t *testing.T) string {
	t.Helper()
	const (
		blockBytes = 64 << 10
		superblock = `<superblock uuid="" time="0" transaction="1" version="2" data_block_size="128" nr_data_blocks="1">
  <device dev_id="1" mapped_blocks="1" transaction="0" creation_time="0" snap_time="0">
    <single_mapping origin_block="0" data_block="0" time="0"/>
  </device>
</superblock>
`
	)
	tool, err := exec.LookPath("thin_restore")
	if err != nil {
		if tool, err = exec.LookPath("/usr/sbin/thin_restore"); err != nil {
			t.Skip("needs thin_restore: install thin-provisioning-tools")
		}
	}
	dir := t.TempDir()
	data := make([]byte, blockBytes)
	copy(data, "hsqs")
	binary.LittleEndian.PutUint16(data[28:], 4)          // the major version
	binary.LittleEndian.PutUint64(data[40:], blockBytes) // the length in bytes
	for name, content := range map[string][]byte{
		"pool.xml": []byte(superblock), "toy.metadata": make([]byte, 4<<20), "toy.data": data, "toy.names": []byte("1 128 one\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, dir, tool, "-q", "-i", "pool.xml", "-o", "toy.metadata")
	return dir
}
