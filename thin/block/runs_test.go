package block

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// location makes a location out of pieces, and fails the test if there is none.
func location(t *testing.T) func(Location, error) Location {
	return func(l Location, err error) Location {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
}

func TestRunsAreTheRangesOfALocation(t *testing.T) {
	t.Parallel()
	must := location(t)
	a, b := At("/a"), At("/b")
	linear := must(Linear(Piece{a, 100, 10}, Piece{b, 0, 20}))
	striped := must(Striped(4, Piece{a, 0, 8}, Piece{b, 16, 8}))
	split := must(Striped(4, Piece{linear, 4, 16}, Piece{b, 100, 16}))
	for name, test := range map[string]struct {
		at   Location
		want []Run
	}{
		"a file":            {a, []Run{{0, 0, []Spot{{"/a", 0}}}}},
		"linear":            {linear, []Run{{10, 0, []Spot{{"/a", 100}}}, {20, 0, []Spot{{"/b", 0}}}}},
		"a part of linear":  {must(Linear(Piece{linear, 8, 5}, Piece{linear, 0, 1})), []Run{{2, 0, []Spot{{"/a", 108}}}, {3, 0, []Spot{{"/b", 0}}}, {1, 0, []Spot{{"/a", 100}}}}},
		"striped":           {striped, []Run{{16, 4, []Spot{{"/a", 0}, {"/b", 16}}}}},
		"striped in linear": {must(Linear(Piece{striped, 0, 16}, Piece{a, 50, 1})), []Run{{16, 4, []Spot{{"/a", 0}, {"/b", 16}}}, {1, 0, []Spot{{"/a", 50}}}}},
		"nowhere":           {Location{}, []Run{{0, 0, []Spot{{"", 0}}}}},
	} {
		var got []Run
		err := test.at.Each(func(r Run) error {
			got = append(got, r)
			return nil
		})
		same := slices.EqualFunc(got, test.want, func(x, y Run) bool {
			return x.Length == y.Length && x.StripeBytes == y.StripeBytes && slices.Equal(x.Stripes, y.Stripes)
		})
		if err != nil || !same {
			t.Errorf("%s: runs %v, %v, want %v", name, got, err, test.want)
		}
	}
	for name, at := range map[string]Location{
		"a stripe in two ranges": split,
		"a part of stripes":      must(Linear(Piece{striped, 4, 4})),
	} {
		if err := at.Each(func(Run) error { return nil }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestSpotIsWhereAByteLies reads each byte of locations by its spot and as a whole.
func TestSpotIsWhereAByteLies(t *testing.T) {
	t.Parallel()
	must := location(t)
	files, dir := make(map[string][]byte), t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		text := make([]byte, 512)
		for i := range text {
			text[i] = byte(rand.Uint32())
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		files[path] = text
	}
	a, b, c := At(filepath.Join(dir, "a")), At(filepath.Join(dir, "b")), At(filepath.Join(dir, "c"))
	linear := must(Linear(Piece{a, 7, 100}, Piece{b, 0, 60}, Piece{a, 200, 40}))
	for name, at := range map[string]Location{
		"linear":              linear,
		"striped":             must(Striped(16, Piece{a, 3, 64}, Piece{b, 9, 64}, Piece{c, 0, 64})),
		"striped over pieces": must(Striped(20, Piece{linear, 10, 140}, Piece{c, 50, 140})),
		"pieces of stripes":   must(Linear(Piece{must(Striped(8, Piece{a, 0, 64}, Piece{c, 0, 64})), 5, 100}, Piece{b, 100, 5})),
	} {
		f, err := at.Open(context.Background(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		whole, byByte := make([]byte, f.Size()), make([]byte, f.Size())
		if _, err := f.ReadAt(t.Context(), whole, 0); err != nil {
			t.Fatal(err)
		}
		for i := range byByte {
			s := at.Spot(int64(i))
			byByte[i] = files[s.Path][s.Offset]
		}
		if !bytes.Equal(whole, byByte) {
			t.Errorf("%s: the spots are not where the bytes are read", name)
		}
		if s := at.Spot(f.Size()); s.Path != "" {
			t.Errorf("%s: the byte behind the end is at %v", name, s)
		}
		f.Close()
	}
}
