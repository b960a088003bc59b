package guest

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestVolumesOfAPoolByIDOrDevice gives each command both.
func TestVolumesOfAPoolByIDOrDevice(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		dir := mounted(t, loop(t, filepath.Join(t.TempDir(), "disk"), 256*mib))
		mnt := t.TempDir()
		before := hostState(t)
		metadata, data := filepath.Join(dir, "metadata"), filepath.Join(dir, "data")
		tell(t, "pool", "create", "vault", metadata, data, "--data-size", "128M")
		volume := func(command, name string, more ...string) string {
			return tell(t, append([]string{"volume", command, "vault", name}, more...)...)
		}
		suspended := func(want bool) {
			t.Helper()
			if got := strings.TrimSpace(sh(t, "dmsetup info -c --noheadings -o suspended seven")) == "Suspended"; got != want {
				t.Errorf("seven is suspended: %v", got)
			}
		}
		volume("create", "@7")
		volume("activate", "@7", "seven", "--size", "32M")
		sh(t, "mkfs.ext4 -q -E nodiscard /dev/mapper/seven && mount /dev/mapper/seven "+mnt)
		for _, name := range []string{"7", "@7", "seven", "dm:seven", "/dev/mapper/seven"} {
			volume("suspend", name)
			suspended(true)
			volume("resume", name)
			suspended(false)
			volume("trim", name)
		}
		volume("snapshot", "seven", "8")
		volume("snapshot", "@7", "@9")
		refused(t, 2, []string{`"nine"`, "no id"}, "volume", "snapshot", "vault", "7", "nine")
		refused(t, 1, []string{"active", "thintree volume deactivate vault seven"}, "volume", "delete", "vault", "seven", "--yes")
		refused(t, 1, []string{"none", "thintree volume ls vault"}, "volume", "delete", "vault", "none", "--yes")
		refused(t, 1, []string{"9", "not active", "thintree volume activate vault 9"}, "volume", "suspend", "vault", "9")
		refused(t, 1, []string{"no device 10"}, "volume", "suspend", "vault", "10")
		refused(t, 2, []string{"no id"}, "volume", "suspend", "vault", "@ten")

		// A number is an id, also if it is the name of a device.
		volume("activate", "9", "7", "--size", "32M", "--read-only")
		refused(t, 1, []string{"seven", "in use", mnt}, "volume", "deactivate", "vault", "7")
		refused(t, 1, []string{"active", "thintree volume deactivate vault dm:7"}, "volume", "delete", "vault", "9", "--yes")
		volume("deactivate", "dm:7")

		// Of several devices of an id one has to be named.
		volume("activate", "9", "nine", "--size", "32M", "--read-only")
		volume("activate", "nine", "ninth", "--size", "32M", "--read-only")
		refused(t, 1, []string{"9", "nine", "ninth"}, "volume", "deactivate", "vault", "9")
		volume("deactivate", "nine")
		volume("deactivate", "@9")
		sh(t, "umount "+mnt)
		volume("deactivate", "7")
		for _, name := range []string{"7", "@8", "9"} {
			volume("delete", name, "--yes")
		}
		tell(t, "pool", "deactivate", "vault")
		if now := hostState(t); now != before {
			t.Errorf("the host was\n%s\nand is\n%s", before, now)
		}
	})
}
