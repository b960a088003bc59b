package boltcopy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// database makes a database with the buckets a and b. a has keys and a bucket for each of them. b
// is small enough to be kept in a value.
func database(t testing.TB, keys int) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "x.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, name := range []string{"a", "b"} { // two transactions
		err := db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket([]byte(name))
			if err != nil || name == "b" {
				return errors.Join(err, b.Put([]byte("k"), []byte("v")))
			}
			for i := range keys {
				key := fmt.Appendf(nil, "key%05d", i)
				sub, err := b.CreateBucket(append([]byte("sub"), key...))
				if err := errors.Join(err, b.Put(key, bytes.Repeat([]byte{'v'}, 20)), sub.Put([]byte("in"), key)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// contents lists all keys and values of a copy, with their buckets.
func contents(t testing.TB, d *DB) map[string]string {
	t.Helper()
	all := make(map[string]string)
	var walk func(in string, b *bbolt.Bucket) error
	walk = func(in string, b *bbolt.Bucket) error {
		if b == nil {
			return nil // a value that is not in a bucket
		}
		return b.ForEach(func(k, v []byte) error {
			path := in + "/" + string(k)
			if sub := b.Bucket(k); sub != nil {
				return walk(path, sub)
			}
			all[path] = string(v)
			return nil
		})
	}
	err := d.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error { return walk(string(name), b) })
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func open1(t testing.TB, path string) *DB {
	t.Helper()
	d, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDatabaseIsReadWhileItsWriterHasItLocked(t *testing.T) {
	t.Parallel()
	path := database(t, 500)
	writer, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	tx, err := writer.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	before := read(t, path)
	d := open1(t, path)
	if all := contents(t, d); len(all) != 1001 || all["b/k"] != "v" || all["a/subkey00499/in"] != "key00499" {
		t.Errorf("%d keys", len(all))
	}
	if d.Damage() != nil {
		t.Error(d.Damage())
	}
	if !bytes.Equal(read(t, path), before) {
		t.Error("the database was written to")
	}
}

// Each transaction writes the same number to all keys.
func TestCopyIsOfOneTransaction(t *testing.T) {
	t.Parallel()
	path := database(t, 10)
	writer, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	put := func(n int) {
		err := writer.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("n"))
			for i := range 1000 {
				err = errors.Join(err, b.Put(binary.BigEndian.AppendUint32(nil, uint32(i)), fmt.Append(nil, n)))
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	put(0)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; ctx.Err() == nil; n++ {
			put(n)
			time.Sleep(3 * time.Millisecond)
		}
	}()
	copies := 0
	for range 50 {
		d, err := Open(t.Context(), path)
		if err != nil {
			if !errors.Is(err, ErrBusy) {
				t.Error(err)
			}
			continue
		}
		copies++
		numbers := map[string]bool{}
		for key, value := range contents(t, d) {
			if strings.HasPrefix(key, "n/") {
				numbers[value] = true
			}
		}
		if len(numbers) != 1 || d.Damage() != nil {
			t.Errorf("%d transactions, damage %v", len(numbers), d.Damage())
		}
		d.Close()
	}
	stop()
	<-done
	if copies < 10 {
		t.Errorf("only %d of 50 could be copied", copies)
	}
}

// asked is a context that calls a function each time it is asked for its error.
type asked struct {
	context.Context
	f func()
}

func (a asked) Err() error {
	a.f()
	return nil
}

func TestCopyGivesUpIfEachAttemptMeetsAWrite(t *testing.T) {
	t.Parallel()
	path := database(t, 10)
	writer, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	writes := 0
	w := asked{t.Context(), func() {
		writes++
		if err := writer.Update(func(*bbolt.Tx) error { return nil }); err != nil {
			t.Error(err)
		}
	}}
	source, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	private, err := os.Create(filepath.Join(t.TempDir(), "copy"))
	if err != nil {
		t.Fatal(err)
	}
	defer private.Close()
	switch err := copyInto(w, private, source); {
	case err == nil && writes == 0:
		t.Skip("the filesystem makes clones, which no write can disturb")
	case !errors.Is(err, ErrBusy) || writes != copyTries:
		t.Error(writes, err)
	}
}

func TestNoFileIsLeft(t *testing.T) {
	path := database(t, 10)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	open1(t, path)
	if entries, err := os.ReadDir(tmp); err != nil || len(entries) > 0 {
		t.Error(entries, err)
	}
	t.Setenv("TMPDIR", filepath.Join(tmp, "missing"))
	if _, err := Open(t.Context(), path); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
}

// The newest meta page is only half written if the machine stops.
func TestTransactionBeforeIsReadIfTheNewestMetaPageIsDamaged(t *testing.T) {
	t.Parallel()
	path := database(t, 500)
	data := read(t, path)
	for page := range 2 {
		damaged := bytes.Clone(data)
		damaged[page*os.Getpagesize()+40] ^= 1
		write(t, path, damaged)
		all := contents(t, open1(t, path))
		newest := all["b/k"] == "v"
		if len(all) != 1000 && !newest || newest && len(all) != 1001 {
			t.Errorf("%d keys", len(all))
		}
	}
	damaged := bytes.Clone(data)
	damaged[40]++
	damaged[os.Getpagesize()+40]++
	write(t, path, damaged)
	if _, err := Open(t.Context(), path); !errors.Is(err, errNoMeta) {
		t.Error(err)
	}
}

func TestWhatIsNoDatabaseIsAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("empty"), nil)
	write(t, at("text"), bytes.Repeat([]byte("text"), 10_000))
	write(t, at("long"), nil)
	if err := errors.Join(os.Truncate(at("long"), MaxBytes+1), unix.Mkfifo(at("pipe"), 0o600), os.Mkdir(at("dir"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for name, says := range map[string]string{
		"missing": "no such file", "empty": "no bbolt database", "text": "no bbolt database", "long": "longer than 1073741824 bytes", "pipe": "not a regular file", "dir": "not a regular file",
	} {
		_, err := Open(t.Context(), at(name))
		if err == nil || !strings.Contains(err.Error(), at(name)) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
		if errors.Is(err, fs.ErrNotExist) != (name == "missing") {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, database(t, 10)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestTruncatedDatabaseShowsWhatIsLeft(t *testing.T) {
	t.Parallel()
	path := database(t, 500)
	data := read(t, path)
	whole := contents(t, open1(t, path))
	some := 0
	for length := len(data) - 100; length > 0; length -= 1000 {
		write(t, path, data[:length])
		d, err := Open(t.Context(), path)
		if err != nil {
			continue
		}
		all := contents(t, d)
		for key, value := range all {
			if whole[key] != value {
				t.Fatalf("%d bytes: %s is %q", length, key, value)
			}
		}
		if d.Damage() == nil && len(all) < len(whole) {
			t.Errorf("%d bytes: %d keys, and no damage", length, len(all))
		}
		if len(all) > 0 && len(all) < len(whole) {
			some++
		}
		d.Close()
	}
	if some == 0 {
		t.Error("nothing was left of any")
	}
}

// firstPage returns the offset of the first page with flags and at least count elements.
func firstPage(t testing.TB, data []byte, flags, count uint16) int {
	t.Helper()
	for at := 2 * os.Getpagesize(); at < len(data); at += os.Getpagesize() {
		if h := headerOf(data[at:]); h.flags == flags && h.count >= count {
			return at
		}
	}
	t.Fatal("no such page")
	return 0
}

func TestDamagedPageLosesOnlyItself(t *testing.T) {
	t.Parallel()
	path := database(t, 500)
	data := read(t, path)
	leaf, branch := firstPage(t, data, leafPageFlag, 10), firstPage(t, data, branchPageFlag, 2)
	whole := contents(t, open1(t, path))
	for name, damage := range map[string]func(data []byte){
		"id":                      func(d []byte) { d[leaf]++ },
		"flags":                   func(d []byte) { d[leaf+8] = 8 },
		"count":                   func(d []byte) { d[leaf+11] = 0xff },
		"overflow":                func(d []byte) { d[leaf+15] = 0xff },
		"flags of an element":     func(d []byte) { d[leaf+headerLen+1] = 1 },
		"position of an element":  func(d []byte) { order.PutUint32(d[leaf+headerLen+4:], 0) },
		"key of an element":       func(d []byte) { order.PutUint32(d[leaf+headerLen+8:], 1<<31) },
		"value of an element":     func(d []byte) { order.PutUint32(d[leaf+headerLen+12:], 1<<31) },
		"a page below is itself":  func(d []byte) { order.PutUint64(d[branch+headerLen+8:], uint64(branch/os.Getpagesize())) },
		"a page below is twice":   func(d []byte) { copy(d[branch+headerLen+8:][:8], d[branch+headerLen+elementLen+8:][:8]) },
		"a page below is far off": func(d []byte) { order.PutUint64(d[branch+headerLen+8:], 1<<63) },
		"a page below is a meta":  func(d []byte) { order.PutUint64(d[branch+headerLen+8:], 1) },
	} {
		t.Run(name, func(t *testing.T) {
			damaged := bytes.Clone(data)
			damage(damaged)
			path := filepath.Join(t.TempDir(), "x.db")
			write(t, path, damaged)
			d := open1(t, path)
			all := contents(t, d)
			for key, value := range all {
				if whole[key] != value {
					t.Fatalf("%s is %q", key, value)
				}
			}
			if len(all) < len(whole)/2 || len(all) == len(whole) || all["b/k"] != "v" {
				t.Errorf("%d of %d keys are left", len(all), len(whole))
			}
			if d.Damage() == nil || !strings.Contains(d.Damage().Error(), path) {
				t.Error(d.Damage())
			}
		})
	}
}

func FuzzPages(f *testing.F) {
	data := read(f, database(f, 50))
	f.Add(uint32(2*os.Getpagesize()), uint64(1<<63), data)
	f.Add(uint32(firstPage(f, data, leafPageFlag, 2)+8), uint64(leafPageFlag|0xffff<<16), data)
	f.Fuzz(func(t *testing.T, at uint32, word uint64, data []byte) {
		if len(data) > 0 {
			var w [8]byte
			order.PutUint64(w[:], word)
			copy(data[int64(at)%int64(len(data)):], w[:])
		}
		// Most changes are found to be damage of the meta page otherwise.
		for _, offset := range []int{0, os.Getpagesize()} {
			if len(data) >= offset+headerLen+metaLen {
				sign(data[offset:])
			}
		}
		path := filepath.Join(t.TempDir(), "x.db")
		write(t, path, data)
		d, err := Open(t.Context(), path)
		if err != nil {
			return
		}
		defer d.Close()
		size := 0
		for key, value := range contents(t, d) {
			size += len(key) + len(value)
		}
		if size > 64*len(data) {
			t.Errorf("%d bytes from %d", size, len(data))
		}
	})
}

// sign sets the checksum of a meta page.
func sign(page []byte) {
	sum := fnv.New64a()
	sum.Write(page[headerLen : headerLen+56])
	order.PutUint64(page[headerLen+56:], sum.Sum64())
}
