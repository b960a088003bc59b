package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestSnapshotsOfOneBtrfs reads volumes whose filesystems are one btrfs to the kernel.
// Before Linux 6.7 it mounts only one of them at a time, or takes one for the other.
func TestSnapshotsOfOneBtrfs(t *testing.T) {
	Run(t, func(t *testing.T) {
		p := newPool(t, t.TempDir())
		const volumes = 3
		owner := t.TempDir()
		names := filepath.Join(t.TempDir(), "names")
		var lines string
		for id := range volumes {
			if id == 0 {
				p.create(t, id)
			} else {
				sh(t, fmt.Sprintf("dmsetup message pool 0 'create_snap %d 0'", id))
			}
			mkfs := ""
			if id == 0 {
				mkfs = "mkfs.btrfs -q /dev/mapper/own; "
			}
			sh(t, fmt.Sprintf("dmsetup create own --table '0 %d thin /dev/mapper/pool %d'; %smount /dev/mapper/own %s; echo %d >%[4]s/which; umount %[4]s; dmsetup remove own",
				engineSectors, id, mkfs, owner, id))
			lines += fmt.Sprintf("%d %d v%d\n", id, engineSectors, id)
		}
		noError(t, os.WriteFile(names, []byte(lines), 0o644))
		mnt := mountTree(t, "--idle", "1s", "--names", names, "pool:"+p.metadataFile+","+p.dataFile)
		before := things(t)
		which := func(id int) string { return filepath.Join(mnt, fmt.Sprintf("volumes/v%d/which", id)) }
		var open []*os.File
		for round := range 2 {
			for id := range volumes {
				f, err := os.Open(which(id))
				noError(t, err)
				defer f.Close()
				open = append(open, f)
				if text, want := sh(t, "cat "+which(id)), fmt.Sprintln(id); text != want {
					t.Errorf("round %d: volume %d holds %q, want %q", round, id, text, want)
				}
			}
		}
		sh(t, fmt.Sprintf(`
dmsetup create own --table '0 %d thin /dev/mapper/pool 1'; mount /dev/mapper/own %s
echo owned >%[2]s/which; sync`, engineSectors, owner))
		for id, want := range []string{"0\n", "owned\n", "2\n"} {
			if text := sh(t, "cat "+which(id)); text != want {
				t.Errorf("while its owner has 1 mounted: volume %d holds %q, want %q", id, text, want)
			}
		}
		for _, f := range open {
			f.Close()
		}
		sh(t, "umount "+owner+"; dmsetup remove --retry own")
		within(t, seconds, "nothing is left", func() error {
			if now := things(t); !slices.Equal(now, before) {
				return fmt.Errorf("there is %q, before was %q", now, before)
			}
			return nil
		})
	})
}
