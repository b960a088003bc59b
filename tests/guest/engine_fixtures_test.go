package guest

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"thintree/tests/manifest"
	"thintree/tests/pools"
)

// realPools are pools that other programs made, with what the kernel showed of them.
var realPools = []struct {
	name           string // of the archive
	dir            string // in which it unpacks
	metadata, data string
	source         func(t *testing.T, dir string) []string
	folder         string // where a manifest's volume is: before its name
}{
	{"docker-ext4", "docker", "devicemapper/devicemapper/metadata", "devicemapper/devicemapper/data",
		func(_ *testing.T, dir string) []string { return []string{"docker:" + dir} }, "volumes/"},
	{"containerd-ext4", "ctd", "meta", "data",
		func(t *testing.T, dir string) []string {
			return []string{"--names", containerdNames(t), fmt.Sprintf("pool:%s/meta,%[1]s/data", dir)}
		}, "volumes/ctd-pool-snap-"},
}

// TestEnginesShowRealPoolsAlike mounts trees by both engines of pools that Docker and
// containerd made, half of the volumes as they lie there, half with the pool active
// in the kernel. (What the direct engine shows of a pool that is not active is the
// end-to-end tests' matter.)
func TestEnginesShowRealPoolsAlike(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		for _, real := range realPools {
			t.Run(real.name, func(t *testing.T) {
				// On a filesystem that has O_DIRECT.
				disk := mounted(t, loop(t, filepath.Join(t.TempDir(), "disk"), 768*mib))
				noError(t, pools.Unpack(disk, real.name))
				dir := filepath.Join(disk, real.dir)
				hash := must(pools.Hash(dir))
				source, truth := real.source(t, dir), pools.Truth(t, real.name)
				names := slices.Sorted(maps.Keys(truth))
				before := kernelState(t)
				show := func(engine string, lent int, names []string) {
					mnt := mountTree(t, append([]string{"--idle", "1s", "--engine", engine}, source...)...)
					isIdle(t, before, func() { sh(t, fmt.Sprintf("ls -l %s/volumes; cat %[1]s/pools/* %[1]s/info/*", mnt)) })
					for i, name := range names {
						dir := filepath.Join(mnt, real.folder+name)
						if i == 0 {
							// With a file open, if there is one, so that it stays.
							if n := strings.Count(sh(t, "file=$(find "+dir+" -type f -print -quit); exec <${file:-/dev/null}; dmsetup ls"), lentPrefix); n != lent {
								t.Errorf("the %s engine has %d devices for the first volume, want %d", engine, n, lent)
							}
						}
						equal(t, must(manifest.Read(strings.NewReader(truth[name]))), dir)
					}
					within(t, seconds, "nothing is left", func() error { return sameState(t, before) })
				}
				half := len(names) / 2
				show("kernel", 2, names[:half]) // the volume, and its pool
				if now := must(pools.Hash(dir)); now != hash {
					t.Error("the pool has changed")
				}
				p := &pool{metadataFile: filepath.Join(dir, real.metadata), dataFile: filepath.Join(dir, real.data)}
				p.attach(t)
				before = kernelState(t)
				show("kernel", 1, names[half:])
				show("direct", 0, names[half-1:half+1])
				sh(t, "dmsetup remove pool; losetup -d "+p.metadata+" "+p.data)
			})
		}
	})
}

// lentPrefix begins the names of what is active for a tree.
const lentPrefix = "thintree-lent-"
