package guest

import (
	"fmt"
	"path/filepath"
	"testing"
)

// TestTrimPrintsWhatThePoolGotBack counts what the kernel has mapped.
func TestTrimPrintsWhatThePoolGotBack(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		dir := mounted(t, loop(t, filepath.Join(t.TempDir(), "disk"), 256*mib))
		mnt := t.TempDir()
		store := "store:" + filepath.Join(dir, "store")
		tell(t, "pool", "create", store, "--opt", "dm.basesize=64M", "--opt", "dm.loopdatasize=128M", "--opt", "dm.loopmetadatasize=2M")
		tell(t, "volume", "create", store, "web")
		tell(t, "pool", "create", "vault", filepath.Join(dir, "m"), filepath.Join(dir, "d"), "--data-size", "64M")
		tell(t, "volume", "create", "vault", "7")
		tell(t, "volume", "activate", "vault", "7", "seven", "--size", "64M")
		sh(t, "mkfs.ext4 -q -E nodiscard /dev/mapper/seven")
		for _, c := range []struct{ pool, name, mount, unmount string }{
			{store, "web", "", ""},
			{"vault", "seven", "mount /dev/mapper/seven " + mnt, "umount " + mnt},
		} {
			if c.mount == "" {
				tell(t, "volume", "mount", c.pool, c.name, mnt)
			} else {
				sh(t, c.mount)
			}
			mapped := func() (bytes int64) {
				t.Helper()
				for _, v := range asJSON[[]volumeJSON](t, "volume", "ls", c.pool) {
					if v.Name == c.name {
						bytes = v.MappedBytes
					}
				}
				return bytes
			}
			tell(t, "volume", "trim", c.pool, c.name)
			sh(t, fmt.Sprintf("dd if=/dev/urandom of=%s/file bs=1M count=8 status=none && sync -f %s && rm %s/file && sync -f %s", mnt, mnt, mnt, mnt))
			was := mapped()
			said := tell(t, "volume", "trim", c.pool, c.name)
			// What is on the disk follows within a second or so.
			within(t, seconds, "the pool has back what it says", func() error {
				given := was - mapped()
				if want := fmt.Sprintf("%s: %.1f MiB given back\n", c.name, float64(given)/mib); given < 7*mib || given > 9*mib || said != want {
					return fmt.Errorf("%s: %d bytes were given back of %d, and it says %q", c.pool, given, was, said)
				}
				return nil
			})
			if said := tell(t, "volume", "trim", c.pool, c.name); said != c.name+": 0 B given back\n" {
				t.Errorf("%s: there is nothing more to give back: %q", c.pool, said)
			}
			if c.unmount != "" {
				sh(t, c.unmount)
			}
		}
		tell(t, "pool", "deactivate", store, "--yes")
		tell(t, "volume", "deactivate", "vault", "seven")
		tell(t, "pool", "deactivate", "vault")
	})
}
