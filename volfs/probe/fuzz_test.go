package probe

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fuzzSeeds are images from which FuzzProbe starts. The commands write to $1.
var fuzzSeeds = []struct {
	size              int64 // in bytes
	program, commands string
}{
	{8 * mib, "mke2fs", `mke2fs -q $1`},
	{4 * mib, "mkfs.vfat", `mkfs.vfat -F12 -n LABEL $1`},
	{40 * mib, "mkfs.vfat", `mkfs.vfat -F32 -n LABEL $1`},
	{4 * mib, "mkntfs", `mkntfs -qFL label $1`},
	{4 * mib, "mkfs.exfat", `mkfs.exfat -L label $1`},
	{4 * mib, "mkudffs", `mkudffs -l label $1`},
	{4 * mib, "sfdisk", `echo ,1M | sfdisk -q --label gpt $1`},
	{4 * mib, "sfdisk", `printf ',1M\n,,5\n,500K\n,500K\n' | sfdisk -q --label dos $1`},
}

// A seed whose program is missing is skipped here, and counted: FuzzProbe goes on without it.
func TestFuzzSeedsAreRecognised(t *testing.T) {
	t.Parallel()
	for _, s := range fuzzSeeds {
		t.Run(s.program, func(t *testing.T) {
			t.Parallel()
			need(t, s.program)
			r, err := Probe(context.Background(), openFile(t, image(t, s.size, s.commands)))
			if err != nil || r.Table == nil && len(r.Signatures) == 0 {
				t.Errorf("%s: %+v, %v", s.commands, r, err)
			}
		})
	}
}

// FuzzProbe probes a volume of any length with two runs of bytes in it, one of them at the
// start.
func FuzzProbe(f *testing.F) {
	for _, s := range fuzzSeeds {
		if _, err := exec.LookPath(s.program); err != nil {
			continue
		}
		path := filepath.Join(f.TempDir(), "image")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			f.Fatal(err)
		}
		if err := os.Truncate(path, s.size); err != nil {
			f.Fatal(err)
		}
		if out, err := exec.Command("sh", "-ec", s.commands, "sh", path).CombinedOutput(); err != nil {
			f.Fatalf("%s: %v\n%s", s.commands, err, out)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(s.size, data[:headBytes], s.size-headBytes, data[len(data)-headBytes:])
	}
	hfsPlus := newBlock(2048).text(1024, "H+").be32(1064, 4096).be32(1312, 2).be32(1316, 4)
	f.Add(int64(4*mib), []byte(hfsPlus), int64(8192), []byte(newBlock(512).be32(20, 1).be32(24, 1).be16(32, 4096)))
	f.Add(int64(64*mib), []byte{}, int64(16384), []byte("\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"+nvpair("guid", 8, "\x00\x00\x00\x00\x00\x00\x00\x09")))
	f.Add(int64(4*mib), []byte("\xeb\x58\x90-FVE-FS-"), int64(4096), []byte("-FVE-FS-"))
	f.Add(int64(4*mib), []byte{}, int64(32768), []byte("\x01CD001\x01"+strings.Repeat("\x00", 2000)))

	f.Fuzz(func(t *testing.T, size int64, head []byte, at int64, part []byte) {
		v := &counted{sparse: sparse{max(0, size), map[int64][]byte{0: head, at: part}}}
		r, err := Probe(context.Background(), v)
		if err != nil && err != errBudget {
			t.Error(err)
		}
		if v.reads > budgetReads || v.bytes > budgetBytes {
			t.Errorf("%d reads of %d bytes", v.reads, v.bytes)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Error(err)
		}
		if r.Table == nil {
			return
		}
		last := 0
		for _, p := range r.Table.Partitions {
			if p.OffsetBytes < 0 || p.LengthBytes <= 0 || p.Index <= last || p.Index > maxPartitions {
				t.Errorf("%+v", p)
			}
			last = p.Index
		}
	})
}

// counted counts the bytes that are read.
type counted struct {
	sparse
	reads, bytes int
}

func (c *counted) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	c.reads++
	c.bytes += len(p)
	return c.sparse.ReadAt(ctx, p, off)
}
