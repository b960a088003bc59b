package thin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thintree/tests/pools"
	"thintree/thin/pdata"
)

func TestLengthOfNewMetadataFollowsFromTheData(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	for _, c := range []struct {
		data         int64
		blockSectors uint32
		want         int64
	}{
		{0, 128, 2 << 20},
		{gib, 128, 2 << 20},
		{100 * gib, 128, 100 << 20},
		{100 * gib, 1024, 100 << 20 / 8},
		{100*gib + 64<<10, 128, 100<<20 + 4096},
		{1 << 60, 128, 255 * 16320 * 4096},
	} {
		got := metadataFor(c.data, c.blockSectors)
		if got != c.want || got%pdata.BlockBytes != 0 {
			t.Errorf("for %d bytes of data in blocks of %d sectors: %d, want %d", c.data, c.blockSectors, got, c.want)
		}
	}
}

func TestPossibleLengthsOfABlock(t *testing.T) {
	t.Parallel()
	for n, ok := range map[uint32]bool{0: false, 64: false, 128: true, 129: false, 192: false, 384: true, 2097152: true, 2097280: false, 1<<32 - 128: false} {
		if err := CheckBlockSectors(n); (err == nil) != ok {
			t.Errorf("%d sectors: %v", n, err)
		}
	}
}

func TestContentsOfAnyFormatAreFound(t *testing.T) {
	t.Parallel()
	const bytes = 4 << 20
	for name, c := range map[string]struct {
		length, at int64
		text       string
		empty      bool
	}{
		"zeros":               {bytes, 0, "", true},
		"no bytes":            {0, 0, "", true},
		"less than a sector":  {100, 0, "", true},
		"the first byte":      {bytes, 0, "x", false},
		"btrfs":               {bytes, 64<<10 + 64, "_BHRfS_M", false},
		"behind the first":    {bytes, headBytes - 1, "x", false},
		"a GPT at the end":    {bytes, bytes - 512, "EFI PART", false},
		"md 0.90 at the end":  {bytes, bytes - 128<<10, "\xfc\x4e\x2b\xa9", false},
		"the end of a sector": {100, 99, "x", false},
		"in the middle":       {bytes, 2 << 20, "x", true}, // no format has its signature there
		"within a superblock": {bytes, 100, "x", false},
	} {
		path := filepath.Join(t.TempDir(), "file")
		f, err := os.Create(path)
		if err == nil {
			err = f.Truncate(c.length)
		}
		if err == nil && c.text != "" {
			_, err = f.WriteAt([]byte(c.text), c.at)
		}
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		what, err := contents(t.Context(), path)
		if err != nil || (what == "") != c.empty {
			t.Errorf("%s: %q, %v", name, what, err)
		}
	}
	metadata := filepath.Join(pools.Docker(t), "devicemapper/devicemapper/metadata")
	if what, err := contents(t.Context(), metadata); err != nil || !strings.Contains(what, "pool") {
		t.Errorf("%q, %v", what, err)
	}
}
