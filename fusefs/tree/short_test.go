package tree

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"thintree/fusefs/volume"
	"thintree/meta"
	"thintree/thin/lend"
)

// Devices of shortPool.
const (
	cutID     = 1 // ext4 that is mostly one file
	tableID   = 2 // a partition table; p1 has the same ext4
	narrowID  = 3 // a partition table whose p1 is shorter than its ext4
	bigBytes  = 3 << 20
	shortSize = deviceBytes / 2
)

// big is the contents of the file in a shortPool, without zeros.
func big() []byte { return bytes.Repeat([]byte("not a hole."), bigBytes/11+1)[:bigBytes] }

// shortPool is a pool whose devices are longer than the volumes in the records of shortTree.
func shortPool(t *testing.T) meta.Pool {
	t.Helper()
	needTools(t)
	dir := t.TempDir()
	files, image := filepath.Join(dir, "files"), filepath.Join(dir, "image")
	err := errors.Join(os.Mkdir(files, 0o755), os.WriteFile(filepath.Join(files, "big"), big(), 0o644),
		runTool("mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-d", files, image, "4096"))
	if err != nil {
		t.Fatal(err)
	}
	fs, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	narrow := partitionTable()
	narrow[446+13] = shortSize / sectorLength >> 8
	data := slices.Concat(fs, partitionTable(), fs, narrow, fs)
	p, err := restorePool(dir, deviceXML(cutID, 0, deviceBytes)+deviceXML(tableID, deviceBytes, partsBytes)+
		deviceXML(narrowID, deviceBytes+partsBytes, partsBytes), data)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func shortTree(t *testing.T, o Options, log io.Writer) *Tree {
	t.Helper()
	short, table, narrow := volumeRecord("short", cutID), volumeRecord("table", tableID), volumeRecord("narrow", narrowID)
	short.SizeBytes, table.SizeBytes, narrow.SizeBytes = shortSize, partStart+shortSize, partsBytes
	o.MaxActive, o.OpenTimeout, o.Log = 4, time.Second, slog.New(slog.NewTextHandler(log, nil))
	tree, err := New(t.Context(), []meta.Source{&named{name: "docker:/d", cat: meta.Catalog{
		Pools: []meta.Pool{shortPool(t)}, Volumes: []meta.Volume{short, table, narrow},
	}}}, o)
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

// lockedBuffer is a buffer that may be written to and read concurrently.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// readPart reads a file of the tree in pieces. Each piece must have the bytes of want, or end
// with an error. readPart returns how many bytes could be read.
func readPart(t *testing.T, tree *Tree, path string, want []byte) (read int) {
	t.Helper()
	e, err := tree.Walk(t.Context(), RootID, path, true)
	if err != nil {
		t.Fatal(err)
	}
	f, err := tree.Open(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const piece = 64 << 10
	for off := 0; off < len(want); off += piece {
		p := make([]byte, min(piece, len(want)-off))
		n, err := f.ReadAt(t.Context(), p, int64(off))
		if !bytes.Equal(p[:n], want[off:][:n]) || n < len(p) && (err == nil || errors.Is(err, io.EOF)) {
			t.Fatalf("%s: at byte %d: %d bytes, %v: wrong bytes, or a short read without an error", path, off, n, err)
		}
		read += n
	}
	return read
}

func TestVolumeShorterThanItsFilesystemSaysSo(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	tree := shortTree(t, Options{}, &log)
	for volume, says := range map[string]string{
		"short":  "its ext4 is 4.0 MiB long, but the volume only 2.0 MiB: what lies beyond cannot be read",
		"table":  "its partition p1 ends at 5.0 MiB, but the volume at 3.0 MiB: what lies beyond cannot be read",
		"narrow": "p1: its ext4 is 4.0 MiB long, but the partition only 2.0 MiB: what lies beyond cannot be read",
	} {
		for range 2 {
			var v VolumeInfo
			readJSON(t, tree, "info/"+volume+".json", &v)
			if v.Problem != says {
				t.Errorf("%s: problem %q, want %q", volume, v.Problem, says)
			}
		}
	}
	for path, file := range map[string]string{"volumes/short": "big", "volumes/table/p1": "big", "volumes/narrow/p1": "big"} {
		if got := names(t, tree, path); !slices.Contains(got, file) {
			t.Errorf("%s lists %q", path, got)
		}
		if n := readPart(t, tree, path+"/"+file, big()); n == 0 || n == bigBytes {
			t.Errorf("%s/%s: %d bytes can be read, want some", path, file, n)
		}
	}
	var v VolumeInfo
	if readJSON(t, tree, "info/short.json", &v); v.Filesystem == nil || v.Filesystem.SizeBytes != deviceBytes || v.SizeBytes != shortSize {
		t.Errorf("info says %d bytes and the filesystem %+v", v.SizeBytes, v.Filesystem)
	}
	for path, length := range map[string]int64{"raw/short.img": shortSize, "raw/table.img": partStart + shortSize} {
		if e, err := tree.Walk(t.Context(), RootID, path, true); err != nil || e.Attr.Size != length {
			t.Errorf("%s has %d bytes, %v, want %d", path, e.Attr.Size, err, length)
		}
	}
	if n := readPart(t, tree, "raw/table.parts/p1.img", []byte(imageAt(t, tree, "raw/narrow.img"))[partStart:]); n != shortSize {
		t.Errorf("%d bytes of p1.img can be read, want %d", n, shortSize)
	}
	for _, says := range []string{"its ext4 is 4.0 MiB long, but the volume", "its partition p1 ends", "its ext4 is 4.0 MiB long, but the partition"} {
		if n := strings.Count(log.String(), says); n != 1 && !(n == 2 && strings.HasSuffix(says, "partition")) {
			t.Errorf("the log says %d times that %s:\n%s", n, says, log.String())
		}
	}
}

// TestKernelIsNotAskedForAVolumeThatIsTooShort: the kernel refuses a filesystem that does not
// fit. The kernel of this test lends nothing.
func TestKernelIsNotAskedForAVolumeThatIsTooShort(t *testing.T) {
	t.Parallel()
	for name, users := range map[string]map[uint32]lend.User{
		"idle": {}, "in use, and not mounted": {cutID: {Name: "other", Writable: true, Open: true}},
	} {
		tree := shortTree(t, Options{Options: volume.Options{Engine: volume.EngineKernel, Kernel: &kernel{users: users}}}, io.Discard)
		for _, path := range []string{"volumes/short/big", "volumes/table/p1/big"} {
			if _, err := tree.Walk(t.Context(), RootID, path, true); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		var v VolumeInfo
		readJSON(t, tree, "info/short.json", &v)
		if name == "idle" && (v.Engine != volume.EngineDirect || !strings.Contains(v.EngineWhy, "refuses")) {
			t.Errorf("%s: engine %s (%s)", name, v.Engine, v.EngineWhy)
		}
	}
}
