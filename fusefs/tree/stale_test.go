package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"thintree/fusefs/volume"
	"thintree/meta"
	"thintree/thin/lend"
	"thintree/thin/loop"
)

// watchedKernel hands the function of its watcher to the test, which calls it.
type watchedKernel struct {
	kernel
	changed chan func(unseen bool)
}

func (k *watchedKernel) Watch(ctx context.Context, changed func(bool)) error {
	select {
	case k.changed <- changed:
	case <-ctx.Done():
	}
	<-ctx.Done()
	return ctx.Err()
}

// cacher is a caller that caches names and contents as long as it may, as the kernel does.
type cacher struct {
	tree  *Tree
	names map[string]Entry  // by the id of the folder and the name
	texts map[NodeID]string // by the id of the file
}

// read returns a file's text, from the cache if the text is there.
func (k *cacher) read(t *testing.T, path string) string {
	t.Helper()
	for range 2 { // as the kernel, look the path up once more after ESTALE
		at := Entry{ID: RootID}
		var err error
		for name := range strings.SplitSeq(path, "/") {
			key := fmt.Sprint(at.ID, " ", name)
			next, kept := k.names[key]
			if !kept {
				if next, err = k.tree.Lookup(t.Context(), at.ID, name); err != nil {
					break
				}
				if next.NameKept {
					k.names[key] = next
				}
			}
			at = next
		}
		if err != nil {
			continue
		}
		if text, ok := k.texts[at.ID]; ok {
			return text
		}
		f, err := k.tree.Open(t.Context(), at.ID)
		if err != nil {
			continue
		}
		defer f.Close()
		text := make([]byte, 100)
		n, _ := f.ReadAt(t.Context(), text, 0)
		if f.Kept {
			k.texts[at.ID] = string(text[:n])
		}
		return string(text[:n])
	}
	return "an error"
}

// livePool makes a pool that is live because of a loop device. at is the offset of the text of
// the file etc/hostname in its data.
func livePool(t *testing.T) (pool meta.Pool, at int64) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: to attach a loop device")
	}
	for _, tool := range []string{"mkfs.ext4", "thin_restore"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
	pool, err := makePool(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(pool.Data.String())
	if err != nil {
		t.Fatal(err)
	}
	if at = int64(bytes.Index(data, []byte("outer\x00"))); at < 0 {
		t.Fatal("the text is not in the data")
	}
	d, err := loop.Attach(t.Context(), pool.Metadata.String(), loop.Options{})
	if err != nil {
		t.Skipf("needs a loop device: %v", err)
	}
	t.Cleanup(func() { d.Close() })
	return pool, at
}

// watchedTree makes a tree of a pool with the volume v. changed tells the tree that
// device-mapper's devices have changed.
func watchedTree(t *testing.T, pool meta.Pool) (tree *Tree, k *watchedKernel, changed func(unseen bool)) {
	t.Helper()
	k = &watchedKernel{kernel: kernel{users: map[uint32]lend.User{}}, changed: make(chan func(bool), 1)}
	tree, err := New(t.Context(), []meta.Source{&named{name: "named", cat: meta.Catalog{
		Pools: []meta.Pool{pool}, Volumes: []meta.Volume{volumeRecord("v", linksID)},
	}}}, Options{MaxActive: 4, Options: volume.Options{OpenTimeout: time.Minute, Engine: volume.EngineAuto, Kernel: k, Log: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	return tree, k, <-k.changed
}

// TestNoOldBytesAreCachedWhenAnOwnerWrites: an owner activates a volume, writes to it in place
// and deactivates it. A reader reads between any of these steps.
func TestNoOldBytesAreCachedWhenAnOwnerWrites(t *testing.T) {
	t.Parallel()
	pool, at := livePool(t)
	tree, k, changed := watchedTree(t, pool)
	data, err := os.OpenFile(pool.Data.String(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	users := func(u map[uint32]lend.User) {
		k.mu.Lock()
		k.users = u
		k.mu.Unlock()
	}
	reader := &cacher{tree, map[string]Entry{}, map[NodeID]string{}}
	round := 0
	const steps = 5
	for _, told := range []string{"of each step", "at the end", "that one was not seen"} {
		for looks := range 1 << (steps + 1) {
			if strings.Count(fmt.Sprintf("%b", looks), "1") > 3 && looks != 1<<(steps+1)-1 {
				continue // more looks find nothing that up to three do not find
			}
			round++
			text := fmt.Sprintf("%05d", round%100000)
			user := lend.User{Name: "owner", Number: 1, Sequence: uint64(round), Writable: true}
			opened := user
			opened.Open = true
			for step, do := range []func(){
				func() {},
				func() { users(map[uint32]lend.User{linksID: user}) },
				func() { users(map[uint32]lend.User{linksID: opened}) },
				func() {
					if _, err := data.WriteAt([]byte(text), at); err != nil {
						t.Fatal(err)
					}
				},
				func() { users(map[uint32]lend.User{linksID: user}) },
				func() { users(map[uint32]lend.User{}) },
			} {
				do()
				if told == "of each step" {
					changed(false)
				}
				if looks>>step&1 != 0 {
					reader.read(t, "volumes/v/etc/hostname")
				}
			}
			switch told {
			case "at the end": // the volume was still active at the tree's first look
				users(map[uint32]lend.User{linksID: user})
				changed(false)
				users(map[uint32]lend.User{})
				changed(false)
			case "that one was not seen":
				changed(true)
			}
			if got := reader.read(t, "volumes/v/etc/hostname"); got != text {
				t.Fatalf("told %s, looks %07b: the reader got %q, want %q", told, looks, got, text)
			}
		}
	}
}

// TestFileOfAVolumeThatChangedIsStale: the file is open while its volume changes hands.
func TestFileOfAVolumeThatChangedIsStale(t *testing.T) {
	t.Parallel()
	pool, _ := livePool(t)
	tree, k, changed := watchedTree(t, pool)
	e, err := tree.Walk(t.Context(), RootID, "volumes/v/etc/hostname", true)
	if err != nil {
		t.Fatal(err)
	}
	f, err := tree.Open(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.ReadAt(t.Context(), make([]byte, 5), 0); err != nil {
		t.Error(err)
	}
	k.mu.Lock()
	k.users = map[uint32]lend.User{linksID: {Name: "owner", Writable: true}}
	k.mu.Unlock()
	changed(false)
	if n, err := f.ReadAt(t.Context(), make([]byte, 5), 0); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("read %d bytes, %v, want ESTALE", n, err)
	}
}
