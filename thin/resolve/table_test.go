package resolve

import (
	"os"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

func TestMountThatComesLaterEndsTheWait(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: a mount")
	}
	dir := realTemp(t)
	table, err := OpenMountTable()
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	seen := make(chan error, 1)
	go func() {
		for {
			mounts, err := table.Read(mountinfo.SingleEntryFilter(dir))
			if err != nil || len(mounts) == 1 {
				seen <- err
				return
			}
			if err := table.AwaitChange(); err != nil {
				seen <- err
				return
			}
		}
	}()
	if err := unix.Mount("none", dir, "ramfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, 0)
	select {
	case err := <-seen:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a mount was not seen within 10 s")
	}
}
