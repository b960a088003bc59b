package dmtest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"thintree/thin/dm"
)

func TestSequenceIsAsInTheKernel(t *testing.T) {
	t.Parallel()
	k := New()
	c := client(t, k)
	h := Host{
		Client: c,
		Disks:  map[string]uint64{"M": unix.Mkdev(7, 0), "D": unix.Mkdev(7, 1), "M2": unix.Mkdev(7, 2)},
		Write:  k.Write,
		Open: func(name string) (func() error, error) {
			return func() error { return k.Close(name) }, k.Open(name)
		},
		Settle: func() {},
	}
	k.SetDisk(h.Disks["M"], 8192)
	k.SetDisk(h.Disks["M2"], 8192)
	k.SetDisk(h.Disks["D"], 131072)
	if diff := cmp.Diff(Sequence, h.Run(t.Context(), Sequence)); diff != "" {
		t.Errorf("the kernel (-) and the fake (+):\n%s", diff)
	}
	if v := k.Violations(); v != nil {
		t.Errorf("violations: %q", v)
	}
}

// client returns a client that is closed when the test ends.
func client(t *testing.T, k *Kernel) *dm.Client {
	t.Helper()
	c, err := dm.New(k.Control)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}
