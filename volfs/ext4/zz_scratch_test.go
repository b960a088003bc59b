package ext4

import (
	"context"
	"golang.org/x/sys/unix"
	"os"
	"testing"
)

func TestScratchStatfs(t *testing.T) {
	f, err := os.Open(os.Getenv("IMG"))
	if err != nil {
		t.Skip()
	}
	st, _ := f.Stat()
	fs := mustOpen(t, fileVolume{f, st.Size()})
	s, err := fs.Statfs(context.Background())
	var k unix.Statfs_t
	unix.Statfs(os.Getenv("MNT"), &k)
	t.Logf("%+v %v", s, err)
	t.Logf("kernel blocks %d free %d avail %d files %d ffree %d", k.Blocks, k.Bfree, k.Bavail, k.Files, k.Ffree)
	if s.Blocks != k.Blocks || s.BlocksFree != k.Bfree || s.BlocksAvail != k.Bavail || s.Files != k.Files || s.FilesFree != k.Ffree {
		t.Error("DIFFER")
	}
	l, err := names(fs, 2)
	t.Log(l, err)
	for _, n := range l {
		ino, err := fs.Lookup(context.Background(), 2, n)
		a, err2 := fs.Stat(context.Background(), ino)
		t.Log(n, ino, err, a, err2)
	}
}
