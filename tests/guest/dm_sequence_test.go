package guest

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"thintree/thin/dm"
	"thintree/thin/dm/dmtest"
)

// dmSettle is how long a deferred removal may take, which the kernel does by itself.
const dmSettle = 500 * time.Millisecond

func dmSequence(t *testing.T, c *dm.Client) {
	dir := t.TempDir()
	h := dmtest.Host{
		Client: c,
		Disks:  map[string]uint64{},
		Write:  func(name string, first, blocks uint64) error { return dmWrite(t.Context(), c, name, first, blocks) },
		Open: func(name string) (func() error, error) {
			f, err := dmOpen(t.Context(), c, name, os.O_RDONLY)
			if err != nil {
				return nil, err
			}
			return f.Close, nil
		},
		Settle: func() { time.Sleep(dmSettle) },
	}
	for name, sectors := range map[string]int64{"M": 8192, "D": 131072, "M2": 8192} {
		var st unix.Stat_t
		if err := unix.Stat(loop(t, filepath.Join(dir, name), sectors*sectorBytes), &st); err != nil {
			t.Fatal(err)
		}
		h.Disks[name] = st.Rdev
	}
	if diff := cmp.Diff(dmtest.Sequence, h.Run(t.Context(), dmtest.Sequence)); diff != "" {
		t.Errorf("what the sequence says (-) and the kernel (+):\n%s", diff)
	}
}

func dmOpen(ctx context.Context, c *dm.Client, name string, flags int) (*os.File, error) {
	info, err := c.Info(ctx, name)
	if err != nil {
		return nil, err
	}
	return os.OpenFile(dm.NodePath(info.Number), flags|unix.O_CLOEXEC, 0)
}

// dmWrite writes blocks of 64 KiB, and waits until they are there.
func dmWrite(ctx context.Context, c *dm.Client, name string, first, blocks uint64) error {
	const blockBytes = 64 << 10
	f, err := dmOpen(ctx, c, name, os.O_WRONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, blocks*blockBytes), int64(first*blockBytes)); err != nil {
		return err
	}
	return f.Sync()
}
