package ext4

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestBlockNumbersAbove32Bits(t *testing.T) {
	t.Parallel()
	needKernel(t)
	dir, err := os.MkdirTemp("/dev/shm", "thintree-test-") // ext4 holds no file that large
	if err != nil {
		t.Skip("needs tmpfs at /dev/shm: ", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	image := filepath.Join(dir, "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 24<<40); err != nil {
		t.Skip("needs a tmpfs that holds 24 TiB of hole: ", err)
	}
	run(t, "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-N", "2000000", "-G", "4096", image)

	// Folders in the root are spread over all groups, and without
	// mb_optimize_scan blocks lie near their inode.
	k := mount(t, image, "mb_optimize_scan=0")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 40 {
		folder := fmt.Sprintf("%s/%d", k.path(), i)
		must(os.Mkdir(folder, 0o755))
		must(os.WriteFile(folder+"/file", []byte(strings.Repeat(fmt.Sprintf("file %d\n", i), 10_000)), 0o644))
		must(os.Symlink(strings.Repeat("l", 100+i), folder+"/link"))
		must(unix.Lsetxattr(folder+"/file", "user.in a block", []byte(strings.Repeat("x", 3000)), 0))
		must(os.Mkdir(folder+"/many", 0o755))
		for j := range 300 {
			must(os.Link(folder+"/file", fmt.Sprintf("%s/many/%d", folder, j)))
		}
	}
	k.unmount()
	compare(t, image)
}
