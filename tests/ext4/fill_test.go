package ext4

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// filler makes a tree through a kernel mount. Its contents are the same at
// every run.
type filler struct {
	t         *testing.T
	root      string
	blockSize int64
	random    *rand.ChaCha8

	// refused collects what the filesystem cannot do, so that a test can distinguish
	// a feature's limits from a tree that lacks something silently.
	refused map[string]bool
}

// fill makes the tree that every feature is tested with, and returns what the
// filesystem refused, sorted.
func fill(t *testing.T, k *kernelMount) (refused []string) {
	t.Helper()
	f := newFiller(t, k)
	f.files()
	f.folders()
	f.links()
	f.devices()
	f.owners()
	f.xattrs()
	f.flags()
	f.times()
	k.sync()
	for what := range f.refused {
		refused = append(refused, what)
	}
	slices.Sort(refused)
	return refused
}

func newFiller(t *testing.T, k *kernelMount) *filler {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Fstatfs(k.fd, &st); err != nil {
		t.Fatal(err)
	}
	return &filler{t: t, root: k.path(), blockSize: st.Bsize, random: rand.NewChaCha8([32]byte{1}), refused: map[string]bool{}}
}

func (f *filler) path(elem ...string) string {
	return f.root + "/" + filepath.Join(elem...)
}

func (f *filler) must(err error) {
	if err != nil {
		f.t.Helper()
		f.t.Fatal("fill: ", err)
	}
}

// optional notes what a filesystem refuses for what it is, and reports success.
func (f *filler) optional(err error, what string) bool {
	for _, limit := range []error{unix.EOPNOTSUPP, unix.EFBIG, unix.E2BIG, unix.ENOSPC, unix.ERANGE} {
		if errors.Is(err, limit) {
			f.refused[what] = true
			return false
		}
	}
	f.t.Helper()
	f.must(err)
	return true
}

func (f *filler) mkdir(elem ...string) string {
	f.t.Helper()
	path := f.path(elem...)
	f.must(os.MkdirAll(path, 0o755))
	return path
}

func (f *filler) bytes(n int64) []byte {
	b := make([]byte, n)
	f.random.Read(b)
	return b
}

// create opens a new file, which its use closes.
func (f *filler) create(path string, use func(*os.File)) {
	f.t.Helper()
	file, err := os.Create(path)
	f.must(err)
	defer func() { f.must(file.Close()) }()
	use(file)
}

func (f *filler) write(path string, content []byte) {
	f.t.Helper()
	f.must(os.WriteFile(path, content, 0o644))
}

// writeAt writes n random bytes at an offset, and reports whether the
// filesystem goes so far.
func (f *filler) writeAt(file *os.File, off, n int64) bool {
	f.t.Helper()
	_, err := file.WriteAt(f.bytes(n), off)
	return f.optional(err, fmt.Sprintf("offset %d GiB", off/gib))
}

// allocate is fallocate(2), and reports whether the filesystem has it.
func (f *filler) allocate(file *os.File, mode uint32, off, n int64) bool {
	f.t.Helper()
	names := map[uint32]string{
		0: "fallocate", unix.FALLOC_FL_KEEP_SIZE: "fallocate",
		unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE: "punch hole",
		unix.FALLOC_FL_ZERO_RANGE:                            "zero range",
		unix.FALLOC_FL_COLLAPSE_RANGE:                        "collapse range",
		unix.FALLOC_FL_INSERT_RANGE:                          "insert range",
	}
	return f.optional(unix.Fallocate(int(file.Fd()), mode, off, n), names[mode])
}
