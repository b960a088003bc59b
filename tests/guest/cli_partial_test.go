package guest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCommandsThatDidTheirWorkInPartSaySo ends commands with exit status 3: on a store with
// a damaged record, and on a pool whose metadata cannot be read from outside the kernel.
func TestCommandsThatDidTheirWorkInPartSaySo(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		dir := mounted(t, loop(t, filepath.Join(t.TempDir(), "disk"), 256*mib))
		partial := func(says string, args ...string) {
			t.Helper()
			out, err := thintree(args...)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.Contains(err.Error(), says) {
				t.Errorf("thintree %q: %v, want exit status 3 and %q\n%s", args, err, says, out)
			}
		}
		store := "store:" + filepath.Join(dir, "store")
		create := []string{"pool", "create", store, "--opt", "dm.basesize=32M", "--opt", "dm.loopdatasize=64M", "--opt", "dm.loopmetadatasize=2M"}
		tell(t, create...)
		write(t, filepath.Join(dir, "store/metadata"), "broken", "{")
		partial("broken", create...)
		partial("broken", "pool", "activate", store)
		partial("broken", "pool", "status", store)
		partial("broken", "pool", "grow", store, "--data-size", "+1M")
		partial("broken", "volume", "ls", store)
		tell(t, "pool", "deactivate", store)

		tell(t, "pool", "create", "vault", filepath.Join(dir, "m"), filepath.Join(dir, "d"), "--data-size", "64M")
		sh(t, "for id in $(seq 300); do dmsetup message vault 0 \"create_thin $id\"; done")
		damageFirstDevices(t, asJSON[[]struct{ Metadata string }](t, "pool", "status", "vault")[0].Metadata)
		const says = "cannot read the pool's details of its volumes"
		partial(says, "volume", "create", "--json", "vault", "1000")
		partial(says, "volume", "snapshot", "--json", "vault", "1000", "1001")
		partial(says, "volume", "activate", "--json", "vault", "1000", "thousand", "--size", "16M")
		tell(t, "volume", "deactivate", "vault", "thousand")
		tell(t, "pool", "deactivate", "vault")
	})
}

// damageFirstDevices overwrites the first leaf of the tree of devices in a pool's metadata,
// which the kernel has in its cache. The offsets are those of the kernel's
// drivers/md/dm-thin-metadata.c and persistent-data/dm-btree-internal.h.
func damageFirstDevices(t *testing.T, device string) {
	t.Helper()
	const (
		block      = 4096
		detailsAt  = 328 // in the superblock: the tree's root
		maxEntries = 20  // in a node
		nodeHeader = 32
	)
	sh(t, "sync; blockdev --flushbufs "+device)
	f := must(os.OpenFile(device, os.O_RDWR, 0))
	defer f.Close()
	at := func(off int64, n int) []byte {
		text := make([]byte, n)
		if _, err := f.ReadAt(text, off); err != nil {
			t.Fatal(err)
		}
		return text
	}
	root := int64(binary.LittleEndian.Uint64(at(detailsAt, 8))) * block
	max := int64(binary.LittleEndian.Uint32(at(root+maxEntries, 4)))
	leaf := binary.LittleEndian.Uint64(at(root+nodeHeader+8*max, 8))
	sh(t, fmt.Sprintf("dd if=/dev/zero of=%s bs=%d seek=%d count=1 oflag=direct status=none", device, block, leaf))
}
