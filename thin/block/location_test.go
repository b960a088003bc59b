package block

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// mustJoin is the Location of pieces.
func mustJoin(t testing.TB, stripe int64, list ...Piece) Location {
	t.Helper()
	l, err := inPieces(stripe, list)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLocationIsWrittenForPeople(t *testing.T) {
	t.Parallel()
	disks := []Location{At("/dev/sda1"), At("/dev/sdb"), At("/images/a, b@1(2).img")}
	linear := mustJoin(t, 0, Piece{disks[0], 1 << 20, 4 << 20}, Piece{disks[1], 0, 8 << 20})
	for want, l := range map[string]Location{
		"/dev/sda1": disks[0],
		"linear(/dev/sda1@1048576+4194304, /dev/sdb@0+8388608)":                  linear,
		"striped 65536(/dev/sda1@0+131072, /dev/sdb@0+131072)":                   mustJoin(t, 65536, Piece{disks[0], 0, 131072}, Piece{disks[1], 0, 131072}),
		`linear("/images/a, b@1(2).img"@0+512)`:                                  mustJoin(t, 0, Piece{disks[2], 0, 512}),
		"linear(linear(/dev/sda1@1048576+4194304, /dev/sdb@0+8388608)@512+1024)": mustJoin(t, 0, Piece{linear, 512, 1024}),
		"": {},
	} {
		if l.String() != want {
			t.Errorf("%s, want %s", l, want)
		}
	}
	if paths := linear.Paths(); !slices.Equal(paths, []string{"/dev/sda1", "/dev/sdb"}) {
		t.Errorf("paths %q", paths)
	}
	if At("linear(/dev/sda1@1048576+4194304, /dev/sdb@0+8388608)").Key() == linear.Key() {
		t.Error("a path has the key of pieces")
	}
	if again := mustJoin(t, 0, Piece{disks[0], 1 << 20, 4 << 20}, Piece{disks[1], 0, 8 << 20}); again.Key() != linear.Key() {
		t.Errorf("%s and %s are different keys of the same pieces", again.Key(), linear.Key())
	}
	if path, ok := linear.Path(); ok || path != "" || !(Location{}).IsNowhere() || linear.IsNowhere() {
		t.Error("a Location reports another kind")
	}
}

func TestImpossiblePiecesAreErrors(t *testing.T) {
	t.Parallel()
	disk := At("/dev/sda")
	deep := disk
	for range maxDepth {
		deep = mustJoin(t, 0, Piece{deep, 0, 512})
	}
	many := mustJoin(t, 0, slices.Repeat([]Piece{{disk, 0, 512}}, 256)...)
	for name, c := range map[string]struct {
		stripe int64
		list   []Piece
	}{
		"none":               {},
		"nowhere":            {0, []Piece{{Location{}, 0, 512}}},
		"before the start":   {0, []Piece{{disk, -1, 512}}},
		"of no length":       {0, []Piece{{disk, 0, 0}}},
		"of negative length": {0, []Piece{{disk, 0, -512}}},
		"beyond any end":     {0, []Piece{{disk, math.MaxInt64 - 511, 512}}},
		"together too long":  {0, []Piece{{disk, 0, math.MaxInt64 - 1}, {disk, 0, 2}}},
		"uneven stripes":     {512, []Piece{{disk, 0, 1024}, {disk, 0, 2048}}},
		"half a stripe":      {1024, []Piece{{disk, 0, 1536}, {disk, 0, 1536}}},
		"too deep":           {0, []Piece{{deep, 0, 512}}},
		"too many":           {0, slices.Repeat([]Piece{{disk, 0, 512}}, maxLeaves+1)},
		"too many, shared":   {0, slices.Repeat([]Piece{{many, 0, 512}}, maxLeaves/256+1)},
	} {
		if l, err := inPieces(c.stripe, c.list); err == nil {
			t.Errorf("%s: %s", name, l)
		}
	}
	if _, err := Striped(0, Piece{disk, 0, 512}); err == nil {
		t.Error("stripes of no length")
	}
}

// drawLocation draws pieces of files with these contents. It returns the bytes that lie there,
// and which of them can be read.
func drawLocation(rt *rapid.T, paths []string, contents [][]byte, depth int) (l Location, want []byte, there []bool) {
	if depth == 0 || rapid.IntRange(0, 3).Draw(rt, "leaf") == 0 {
		i := rapid.IntRange(0, len(paths)-1).Draw(rt, "file")
		there = make([]bool, len(contents[i]))
		for b := range there {
			there[b] = true
		}
		return At(paths[i]), contents[i], there
	}
	n := rapid.IntRange(1, 3).Draw(rt, "pieces")
	stripe, rows := int64(0), int64(0)
	if rapid.Bool().Draw(rt, "striped") {
		stripe, rows = rapid.Int64Range(1, 700).Draw(rt, "stripe"), rapid.Int64Range(1, 4).Draw(rt, "rows")
	}
	var list []Piece
	var parts [][]byte
	var oks [][]bool
	for range n {
		in, bytes, ok := drawLocation(rt, paths, contents, depth-1)
		p := Piece{In: in, Offset: rapid.Int64Range(0, int64(len(bytes))+100).Draw(rt, "offset"), Length: rapid.Int64Range(1, 3000).Draw(rt, "length")}
		if stripe > 0 {
			p.Length = stripe * rows
		}
		part, partOK := make([]byte, p.Length), make([]bool, p.Length)
		if p.Offset < int64(len(bytes)) {
			copy(part, bytes[p.Offset:])
			copy(partOK, ok[p.Offset:])
		}
		list, parts, oks = append(list, p), append(parts, part), append(oks, partOK)
	}
	l, err := inPieces(stripe, list)
	if err != nil {
		rt.Fatal(err)
	}
	if stripe == 0 {
		return l, slices.Concat(parts...), slices.Concat(oks...)
	}
	for row := range rows {
		for i := range parts {
			want = append(want, parts[i][row*stripe:][:stripe]...)
			there = append(there, oks[i][row*stripe:][:stripe]...)
		}
	}
	return l, want, there
}

func TestPiecesHaveTheBytesOfTheirFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var paths []string
	var contents [][]byte
	for i := range 3 {
		p := make([]byte, 2000+700*i)
		for b := range p {
			p[b] = byte(b*7+i*91) | 1
		}
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, p, 0o600); err != nil {
			t.Fatal(err)
		}
		paths, contents = append(paths, path), append(contents, p)
	}
	rapid.Check(t, func(rt *rapid.T) {
		l, want, there := drawLocation(rt, paths, contents, 3)
		z, err := l.Open(context.Background(), Options{})
		if err != nil {
			rt.Fatal(err)
		}
		defer z.Close()
		if z.Size() != int64(len(want)) {
			rt.Fatalf("%s has %d bytes, want %d", l, z.Size(), len(want))
		}
		off := rapid.Int64Range(0, int64(len(want))+10).Draw(rt, "from")
		p := make([]byte, rapid.IntRange(1, 4000).Draw(rt, "bytes"))
		n, err := z.ReadAt(context.Background(), p, off)
		good := int64(0)
		for good < int64(len(p)) && off+good < int64(len(want)) && there[off+good] {
			good++
		}
		ends := off+good >= int64(len(want))
		switch {
		case int64(n) != good || good > 0 && !bytes.Equal(p[:n], want[off:][:n]):
			rt.Fatalf("%s: %d bytes from %d on, want %d", l, n, off, good)
		case good == int64(len(p)) && err != nil && err != io.EOF, good < int64(len(p)) && ends && err != io.EOF,
			good < int64(len(p)) && !ends && !errors.Is(err, io.ErrUnexpectedEOF):
			rt.Fatalf("%s: %d of %d bytes from %d on: %v", l, n, len(p), off, err)
		}
		// Files without holes are all data, and so are the bytes beyond their end.
		data, err := z.NextData(context.Background(), off)
		hole, holeErr := z.NextHole(context.Background(), off)
		if off < int64(len(want)) && (data != off || err != nil || hole != int64(len(want)) || holeErr != nil) || off >= int64(len(want)) && (err != io.EOF || holeErr != io.EOF) {
			rt.Fatalf("%s: from %d on data at %d, %v, hole at %d, %v", l, off, data, err, hole, holeErr)
		}
	})
}

func TestPiecesHaveTheHolesOfTheirFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sparse")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	const mib = 1 << 20
	if _, err := f.WriteAt(make([]byte, mib), 4*mib); err != nil { // data from 4 to 5 MiB, holes around
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(8*mib), f.Close()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		l          Location
		data, hole int64
	}{
		"linear":  {mustJoin(t, 0, Piece{At(path), 0, 2 * mib}, Piece{At(path), 4 * mib, 4 * mib}), 2 * mib, 3 * mib},
		"striped": {mustJoin(t, mib, Piece{At(path), 0, 2 * mib}, Piece{At(path), 4 * mib, 2 * mib}), mib, 2 * mib},
	} {
		z, err := c.l.Open(t.Context(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		if at, err := z.NextData(t.Context(), 0); at != c.data || err != nil {
			t.Errorf("%s: data at %d, %v, want %d", name, at, err, c.data)
		}
		if at, err := z.NextHole(t.Context(), c.data); at != c.hole || err != nil {
			t.Errorf("%s: a hole at %d, %v, want %d", name, at, err, c.hole)
		}
		if at, err := z.NextHole(t.Context(), 0); at != 0 || err != nil {
			t.Errorf("%s: a hole at %d, %v, want 0", name, at, err)
		}
	}
}

// drawJoined draws Readers in memory that are joined, and gives the bytes that they are.
func drawJoined(rt *rapid.T, depth int) (Reader, model) {
	if depth == 0 {
		m := model(rapid.SliceOfN(rapid.ByteRange(0, 1), 24, 24).Draw(rt, "bytes"))
		return m, m
	}
	p := &pieces{}
	length := rapid.Int64Range(1, 8).Draw(rt, "length")
	if rapid.Bool().Draw(rt, "striped") {
		p.stripe = rapid.Int64Range(1, 4).Draw(rt, "stripe")
		length = p.stripe * rapid.Int64Range(1, 3).Draw(rt, "rows")
	}
	var parts []Reader
	var bytes []model
	for range rapid.IntRange(1, 4).Draw(rt, "parts") {
		r, m := drawJoined(rt, depth-1)
		length := min(length, r.Size()/max(1, p.stripe)*max(1, p.stripe))
		if length == 0 || len(bytes) > 0 && p.stripe > 0 && length != int64(len(bytes[0])) {
			continue // all parts of stripes are as long as the first
		}
		from := rapid.Int64Range(0, r.Size()-length).Draw(rt, "from")
		parts, bytes = append(parts, Section(r, from, length)), append(bytes, m[from:][:length])
		p.length += length
	}
	if len(parts) == 0 {
		return drawJoined(rt, 0)
	}
	if p.stripe == 0 {
		return join(p, parts), slices.Concat(bytes...)
	}
	var want model
	for row := int64(0); row < int64(len(bytes[0])); row += p.stripe {
		for _, b := range bytes {
			want = append(want, b[row:][:p.stripe]...)
		}
	}
	return join(p, parts), want
}

func TestJoinedReadersAreTheirBytesAndHoles(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	rapid.Check(t, func(rt *rapid.T) {
		r, want := drawJoined(rt, 2)
		if r.Size() != want.Size() {
			rt.Fatalf("%d bytes, want %d", r.Size(), want.Size())
		}
		off := rapid.Int64Range(0, want.Size()+1).Draw(rt, "off")
		p := make([]byte, rapid.IntRange(1, 30).Draw(rt, "n"))
		q := make([]byte, len(p))
		n, err := r.ReadAt(ctx, p, off)
		wantN, wantErr := want.ReadAt(ctx, q, off)
		if n != wantN || err != wantErr || !bytes.Equal(p[:n], q[:n]) {
			rt.Fatalf("read from %d: %d bytes, %v, want %d, %v", off, n, err, wantN, wantErr)
		}
		at, err := r.NextData(ctx, off)
		if wantAt, wantErr := want.NextData(ctx, off); at != wantAt || err != wantErr {
			rt.Fatalf("data from %d on: %d, %v, want %d, %v", off, at, err, wantAt, wantErr)
		}
		at, err = r.NextHole(ctx, off)
		if wantAt, wantErr := want.NextHole(ctx, off); at != wantAt || err != wantErr {
			rt.Fatalf("a hole from %d on: %d, %v, want %d, %v", off, at, err, wantAt, wantErr)
		}
	})
}

// countedSeeks counts the seeks in a Reader that is one hole.
type countedSeeks struct {
	size  int64
	seeks *int
}

func (c countedSeeks) Size() int64                                        { return c.size }
func (c countedSeeks) ReadAt(context.Context, []byte, int64) (int, error) { return 0, io.EOF }

func (c countedSeeks) NextData(context.Context, int64) (int64, error) {
	*c.seeks++
	return 0, io.EOF
}

func (c countedSeeks) NextHole(_ context.Context, off int64) (int64, error) {
	*c.seeks++
	return off, nil
}

func TestHolesOfManyStripesAreFoundInOneSeekAPart(t *testing.T) {
	t.Parallel()
	const length, stripe = 1 << 44, 1 << 16
	seeks := 0
	part := countedSeeks{length, &seeks}
	r := join(&pieces{stripe: stripe, length: 2 * length}, []Reader{part, part})
	if at, err := r.NextData(t.Context(), stripe+1); err != io.EOF || seeks != 2 {
		t.Errorf("%d, %v, by %d seeks", at, err, seeks)
	}
}

func TestTwoPathsOfOneFileAreAnError(t *testing.T) {
	t.Parallel()
	path, _ := writeFile(t, 1024)
	link := path + "-link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	z, err := mustJoin(t, 0, Piece{At(path), 0, 512}, Piece{At(link), 512, 512}).Open(t.Context(), Options{})
	if err == nil {
		z.Close()
		t.Fatal("no error")
	}
	if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), link) {
		t.Errorf("%v does not have both paths", err)
	}
}

func TestLocationThatIsNowhereIsNotOpened(t *testing.T) {
	t.Parallel()
	if _, err := (Location{}).Open(t.Context(), Options{}); err == nil {
		t.Error("a location that is nowhere was opened")
	}
	missing := mustJoin(t, 0, Piece{At(filepath.Join(t.TempDir(), "missing")), 0, 512})
	if _, err := missing.Open(t.Context(), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
