package guest

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestWhatIsActiveOrMadeOtherwiseIsRefused asks for what has been decided before: as
// it is, it is fine, and otherwise an error says what differs.
func TestWhatIsActiveOrMadeOtherwiseIsRefused(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		dir := mounted(t, loop(t, filepath.Join(t.TempDir(), "disk"), 256*mib))
		before := hostState(t)
		t.Run("a pool", func(t *testing.T) { activeOtherwise(t, dir) })
		t.Run("a store", func(t *testing.T) { madeOtherwise(t, dir) })
		if now := hostState(t); now != before {
			t.Errorf("the host was\n%s\nand is\n%s", before, now)
		}
	})
}

func activeOtherwise(t *testing.T, dir string) {
	metadata, data := newFile(t, dir, "metadata", 2*mib), newFile(t, dir, "data", 64*mib)
	refused(t, 1, []string{data, "67108864 bytes", "134217728"}, "pool", "create", "vault", metadata, data, "--data-size", "128M")
	refused(t, 1, []string{metadata, "2097152 bytes", "4194304"}, "pool", "create", "vault", metadata, data, "--metadata-size", "4M")
	tell(t, "pool", "create", "vault", metadata, data, "--data-size", "64M", "--low-water", "10M", "--error-if-no-space")
	activate := []string{"pool", "activate", "vault", metadata, data}
	tell(t, activate...)
	tell(t, append(activate, "--low-water", "10M", "--error-if-no-space")...)
	for flag, says := range map[string]string{
		"--read-only": "it is not read-only", "--low-water=20M": "low-water mark is 160 data blocks, not 320",
		"--skip-block-zeroing": "no skip_block_zeroing", "--no-discard-passdown": "no no_discard_passdown",
	} {
		refused(t, 1, []string{"vault is active already", says, "deactivate"}, append(activate, flag)...)
	}
	tell(t, "volume", "create", "vault", "7")
	volume := []string{"volume", "activate", "vault", "7", "seven"}
	tell(t, append(volume, "--size", "32M")...)
	tell(t, append(volume, "--size", "32M")...)
	refused(t, 1, []string{"seven is active already", "it is not read-only"}, append(volume, "--size", "32M", "--read-only")...)
	refused(t, 1, []string{"seven is active already", "33554432 bytes, not 16777216"}, append(volume, "--size", "16M")...)
	refused(t, 1, []string{"seven is active already", "origin is none"}, append(volume, "--size", "32M", "--origin", strings.TrimSpace(sh(t, "losetup -n -O NAME -j "+metadata)))...)
	tell(t, "volume", "deactivate", "vault", "seven")
	tell(t, "pool", "deactivate", "vault")

	tell(t, append(activate, "--read-only")...)
	tell(t, append(activate, "--read-only")...)
	refused(t, 1, []string{"vault is active already", "it is read-only"}, activate...)
	tell(t, append(volume, "--size", "32M", "--read-only")...)
	refused(t, 1, []string{"seven is active already", "it is read-only"}, append(volume, "--size", "32M")...)
	tell(t, "volume", "deactivate", "vault", "seven")
	tell(t, "pool", "deactivate", "vault")
}

func madeOtherwise(t *testing.T, dir string) {
	store := "store:" + filepath.Join(dir, "store")
	same := []string{"--opt", "dm.basesize=32M", "--opt", "dm.loopdatasize=64M", "--opt", "dm.loopmetadatasize=2M", "--opt", "dm.fs=ext4", "--opt", "dm.blocksize=64K"}
	for range 2 { // as a program that makes it at each start
		tell(t, append([]string{"pool", "create", store}, same...)...)
	}
	tell(t, append([]string{"volume", "ls", store}, same...)...)
	for option, says := range map[string]string{
		"dm.basesize=64M":        "the base device has 32 MiB",
		"dm.fs=xfs":              "the base device has ext4",
		"dm.loopdatasize=128M":   "devicemapper/data has 64 MiB",
		"dm.loopmetadatasize=4M": "devicemapper/metadata has 2.0 MiB",
		"dm.blocksize=128K":      "the pool's data blocks have 64 KiB",
	} {
		for _, command := range []string{"create", "activate", "status"} {
			refused(t, 1, []string{option, says}, "pool", command, store, "--opt", option)
		}
	}
	for _, option := range []string{"dm.loopdatasize=64M", "dm.loopmetadatasize=2M"} {
		refused(t, 2, []string{option, "dm.thinpooldev"}, "pool", "status", store, "--opt", option, "--opt", "dm.thinpooldev=other")
	}
	for _, option := range []string{"dm.mkfsarg=-v", "dm.mountopt=noatime", "dm.min_free_space=1%", "dm.override_udev_sync_check=true"} {
		tell(t, "pool", "status", store, "--opt", option)
	}
}
