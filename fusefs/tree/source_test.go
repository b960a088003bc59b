package tree

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"thintree/fusefs/volume"
	"thintree/meta"
	"thintree/thin/block"
)

// named is a source with a catalog that a test sets.
type named struct {
	name string

	mu    sync.Mutex
	cat   meta.Catalog
	stamp int
	err   error // of Stamp
}

func (s *named) String() string { return s.name }

func (s *named) Places() []string { return nil }

func (s *named) Load(context.Context) (*meta.Catalog, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cat := s.cat
	return &cat, nil
}

func (s *named) Stamp(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.stamp), s.err
}

// change changes the source as if its records had changed.
func (s *named) change(f func(*named)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
	s.stamp++
}

// Devices of the pools that smallPool makes.
const (
	linksID      = 1 // ext4 with the files of makeLinks
	partsID      = 2 // a partition table; p1 has the same contents as linksID
	zerosID      = 3 // nothing is mapped
	deviceBytes  = 4 << 20
	partStart    = 1 << 20 // of p1, in bytes
	partsBytes   = partStart + deviceBytes
	poolBlock    = 64 << 10
	poolBlocks   = (deviceBytes + partsBytes) / poolBlock
	sectorLength = 512
)

// TestMain removes the pool that smallPool made.
func TestMain(m *testing.M) {
	status := m.Run()
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	os.Exit(status)
}

// shared is the pool that all tests read.
var shared struct {
	once sync.Once
	dir  string
	pool meta.Pool
	err  error
}

// smallPool is a pool of these devices. Nobody may change it.
func smallPool(t *testing.T) meta.Pool {
	t.Helper()
	needTools(t)
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "tree"); shared.err == nil {
			shared.pool, shared.err = makePool(shared.dir)
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.pool
}

func needTools(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"mkfs.ext4", "thin_restore"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
}

func makePool(dir string) (meta.Pool, error) {
	files, image := filepath.Join(dir, "files"), filepath.Join(dir, "image")
	if err := makeLinks(files); err != nil {
		return meta.Pool{}, err
	}
	if err := runTool("mkfs.ext4", "-q", "-F", "-d", files, image, fmt.Sprint(deviceBytes>>10)); err != nil {
		return meta.Pool{}, err
	}
	fs, err := os.ReadFile(image)
	if err != nil {
		return meta.Pool{}, err
	}
	data := append(append(bytes.Clone(fs), partitionTable()...), fs...)
	return restorePool(dir, deviceXML(linksID, 0, deviceBytes)+deviceXML(partsID, deviceBytes, partsBytes)+deviceXML(zerosID, 0, 0), data)
}

// restorePool makes a pool in the folder dir. devices is its devices as thin_restore reads them.
func restorePool(dir, devices string, data []byte) (meta.Pool, error) {
	metadata, dataPath := filepath.Join(dir, "metadata"), filepath.Join(dir, "data")
	p := meta.Pool{Name: "pool", Metadata: block.At(metadata), Data: block.At(dataPath)}
	xml := filepath.Join(dir, "xml")
	text := fmt.Sprintf(`<superblock uuid="" time="0" transaction="1" version="2" data_block_size="%d" nr_data_blocks="%d">
%s</superblock>`, poolBlock/sectorLength, len(data)/poolBlock, devices)
	for path, content := range map[string][]byte{dataPath: data, xml: []byte(text), metadata: make([]byte, 4<<20)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return p, err
		}
	}
	return p, runTool("thin_restore", "-i", xml, "-o", metadata)
}

func deviceXML(id int, at, length int64) string {
	mapping := ""
	if length > 0 {
		mapping = fmt.Sprintf(`<range_mapping origin_begin="0" data_begin="%d" length="%d" time="0"/>`, at/poolBlock, length/poolBlock)
	}
	return fmt.Sprintf(`<device dev_id="%d" mapped_blocks="%d" transaction="0" creation_time="0" snap_time="0">%s</device>
`, id, length/poolBlock, mapping)
}

// partitionTable is a DOS partition table with one partition, and all bytes before the partition.
func partitionTable() []byte {
	head := make([]byte, partStart)
	entry := head[446:]
	entry[4] = 0x83
	binary.LittleEndian.PutUint32(entry[8:], partStart/sectorLength)
	binary.LittleEndian.PutUint32(entry[12:], deviceBytes/sectorLength)
	head[510], head[511] = 0x55, 0xaa
	return head
}

// makeLinks makes a folder with links of all kinds.
func makeLinks(dir string) error {
	var errs []error
	for _, d := range []string{"rootfs/etc", "rootfs/sub/deep", "etc"} {
		errs = append(errs, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	for path, text := range map[string]string{"rootfs/etc/hostname": "inner", "etc/hostname": "outer"} {
		errs = append(errs, os.WriteFile(filepath.Join(dir, path), []byte(text), 0o644))
	}
	links := map[string]string{
		"absolute": "/etc/hostname",
		"relative": "etc/hostname",
		"escape":   "../../../../etc/hostname",
		"sub/up":   "../etc",
		"loop":     "loop",
		"ping":     "pong",
		"pong":     "ping",
		"nowhere":  "missing",
		"folder":   "sub/deep",
		"chain0":   "etc/hostname",
	}
	for i := range 40 {
		links[fmt.Sprint("chain", i+1)] = fmt.Sprint("chain", i)
	}
	for path, target := range links {
		errs = append(errs, os.Symlink(target, filepath.Join(dir, "rootfs", path)))
	}
	return errors.Join(errs...)
}

func runTool(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// volumeRecord is a record of a volume of a smallPool.
func volumeRecord(name string, id uint32) meta.Volume {
	size := int64(deviceBytes)
	if id == partsID {
		size = partsBytes
	}
	return meta.Volume{Name: name, Pool: "pool", DeviceID: id, SizeBytes: size, Role: meta.RoleVolume}
}

// newTree makes a tree and closes it at the end of the test.
func newTree(t *testing.T, sources ...meta.Source) *Tree {
	t.Helper()
	tree, err := New(t.Context(), sources, Options{MaxActive: 4, Options: volume.Options{OpenTimeout: time.Second, Log: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	})
	return tree
}

// names lists a folder of the tree without "." and "..", in the order of its
// cookies.
func names(t *testing.T, tree *Tree, path string) []string {
	t.Helper()
	var list []string
	for _, e := range entries(t, tree, path, 0) {
		list = append(list, e.Name)
	}
	return list
}

func entries(t *testing.T, tree *Tree, path string, after uint64) []DirEntry {
	t.Helper()
	at, err := tree.Walk(t.Context(), RootID, path, true)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	d, err := tree.OpenDir(t.Context(), at.ID, after)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	defer d.Close()
	var list []DirEntry
	err = d.ReadDir(t.Context(), after, false, func(e DirEntry) bool {
		if e.Name != "." && e.Name != ".." {
			list = append(list, e)
		}
		return true
	})
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return list
}

// look makes the keeper look at the sources at once.
func look(t *testing.T, tree *Tree) {
	t.Helper()
	if err := lookFor(t, tree); err != nil {
		t.Fatal(err)
	}
}

// lookFor makes the keeper look at the sources at once, and returns the error.
func lookFor(t *testing.T, tree *Tree) (err error) {
	t.Helper()
	tree.keeper.do(t.Context(), func(ctx context.Context) { err = tree.keeper.refresh(ctx) })
	return err
}

// deviceAt returns the device id of the volume that a path of the tree leads to.
func deviceAt(t *testing.T, tree *Tree, path string) uint32 {
	t.Helper()
	e, err := tree.Walk(t.Context(), RootID, path, true)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	v, err := tree.Volume(t.Context(), e.ID)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return *v.DeviceID
}

// contentOf returns the contents of a file of the tree.
func contentOf(t *testing.T, tree *Tree, e Entry) string {
	t.Helper()
	f, err := tree.Open(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text := make([]byte, e.Attr.Size)
	if _, err := f.ReadAt(t.Context(), text, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return string(text)
}

func TestSourceThatCannotBeReadAtFirstAppearsOnceItCan(t *testing.T) {
	t.Parallel()
	cat := func() meta.Catalog {
		return meta.Catalog{Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{volumeRecord("a", linksID)}}
	}
	one, two := &named{name: "kind:a", cat: cat()}, &named{name: "kind:b", cat: cat(), err: errors.New("its daemon restarts")}
	if _, err := tryTree(t, Options{}, one, two); err == nil {
		t.Error("a source that cannot be read is no error")
	}
	tree, err := tryTree(t, Options{MayMiss: true}, one, two)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(t, tree, "kind-b/volumes"); len(got) != 0 {
		t.Errorf("the source that cannot be read lists %q", got)
	}
	if got := names(t, tree, "kind-a/volumes"); len(got) != 3 {
		t.Errorf("the other one lists %q", got)
	}
	two.change(func(s *named) { s.err = nil })
	look(t, tree)
	if got := names(t, tree, "kind-b/volumes"); len(got) != 3 {
		t.Errorf("once it can be read it lists %q", got)
	}
	one.change(func(s *named) { s.err = errors.New("it is gone") })
	if _, err := tryTree(t, Options{MayMiss: true}, one); err == nil {
		t.Error("no source at all is no error")
	}
}
