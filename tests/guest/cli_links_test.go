package guest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPoolsHaveLinksByTheirNames looks at /dev/mapper. The guest has no udev that makes
// the links.
func TestPoolsHaveLinksByTheirNames(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		dir := mounted(t, loop(t, filepath.Join(t.TempDir(), "disk"), 256*mib))
		there := func(when, name string, want bool) {
			t.Helper()
			var st unix.Stat_t
			err := unix.Stat("/dev/mapper/"+name, &st)
			if got := err == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK; got != want {
				t.Errorf("%s: /dev/mapper/%s is there: %v, %v", when, name, got, err)
			}
			if _, err := os.Lstat("/dev/mapper/" + name); (err == nil) != want {
				t.Errorf("%s: something is at /dev/mapper/%s: %v", when, name, err)
			}
		}
		metadata, data := filepath.Join(dir, "metadata"), filepath.Join(dir, "data")
		tell(t, "pool", "create", "vault", metadata, data, "--data-size", "64M")
		there("made", "vault", true)
		tell(t, "pool", "deactivate", "vault")
		there("deactivated", "vault", false)
		tell(t, "pool", "activate", "vault", metadata, data)
		there("activated", "vault", true)
		sh(t, "rm /dev/mapper/vault")
		tell(t, "pool", "activate", "vault", metadata, data)
		there("found active", "vault", true)
		tell(t, "volume", "create", "vault", "7")
		for _, link := range []string{"a device that is new", "a device that lost its link"} {
			tell(t, "volume", "activate", "vault", "7", "seven", "--size", "16M")
			there(link, "seven", true)
			sh(t, "rm /dev/mapper/seven")
		}
		tell(t, "volume", "deactivate", "vault", "7")
		tell(t, "pool", "deactivate", "vault")
		there("deactivated again", "vault", false)

		store := "store:" + filepath.Join(dir, "store")
		name := asJSON[poolJSON](t, "pool", "create", store, "--opt", "dm.basesize=32M", "--opt", "dm.loopdatasize=64M", "--opt", "dm.loopmetadatasize=2M").Name
		there("a store that nobody uses", name, false)
		tell(t, "pool", "activate", store)
		there("a store's that is kept", name, true)
		tell(t, "volume", "create", store, "web")
		there("a store's after a command", name, true)
		tell(t, "pool", "deactivate", store)
		there("a store's deactivated", name, false)
		tell(t, "volume", "activate", store, "web")
		tell(t, "pool", "activate", store)
		there("a store's in use already", name, true)
		tell(t, "pool", "deactivate", store)
		there("a store's deactivated again", name, false)
		if left := strings.TrimSpace(sh(t, "ls /dev/mapper")); left != "control" {
			t.Errorf("left in /dev/mapper: %q", left)
		}
	})
}
