package guest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"thintree/thin"
	"thintree/thin/dm"
)

// accessVolumes is how many volumes BenchmarkFirstAccess measures, each once a
// round.
const accessVolumes = 20

// BenchmarkFirstAccess measures the first listing of a volume's root in a mounted
// tree, beside the same ioctls and mount done by hand here, and beside dmsetup
// create and mount, without what it takes to start that program and to end it.
func BenchmarkFirstAccess(b *testing.B) {
	Bench(b, func(b *testing.B) {
		kernel, err := thin.OpenKernel()
		check(b, err)
		defer kernel.Close()
		pool, err := kernel.CreatePool(b.Context(), thin.NewPool{
			PoolConfig: thin.PoolConfig{Name: "bench", Metadata: "/mnt/metadata", Data: "/mnt/data"},
			DataBytes:  512 * mib,
		})
		check(b, err)
		names := accessible(b, pool)
		program(b, "dmsetup", "mknodes")
		theirs := &byDmsetup{control: watchControl(b)}
		mkdir(b, "/mnt/tree", "/mnt/volume")
		list := func(dir string) {
			entries, err := os.ReadDir(dir)
			check(b, err)
			if len(entries) != 2 { // lost+found, and the file
				b.Fatalf("%s holds %v", dir, entries)
			}
		}

		var tree, hand, dmsetup []time.Duration
		for range 3 {
			_, err := thintree("mount", "--names", names, "pool:/mnt/metadata,/mnt/data", "/mnt/tree")
			check(b, err)
			for id := range accessVolumes {
				dir := fmt.Sprintf("/mnt/tree/volumes/v%d", id)
				time.Sleep(settle)
				begin := time.Now()
				list(dir)
				tree = append(tree, time.Since(begin))
			}
			_, err = thintree("umount", "/mnt/tree")
			check(b, err)
			for id := range accessVolumes {
				time.Sleep(settle)
				begin := time.Now()
				done := byHand(b, kernel.DM(), id)
				hand = append(hand, time.Since(begin))
				done()
			}
			for id := range accessVolumes {
				time.Sleep(settle)
				path := theirs.activate(b, id)
				begin := time.Now()
				mountExt4(b, path, "/mnt/volume")
				list("/mnt/volume")
				dmsetup = append(dmsetup, theirs.spent()+time.Since(begin))
				check(b, unix.Unmount("/mnt/volume", 0))
				theirs.deactivate(b, id)
				theirs.spent()
			}
		}

		var table strings.Builder
		w := tabwriter.NewWriter(&table, 0, 8, 2, ' ', 0)
		t, h, d := median(tree), median(hand), median(dmsetup)
		fmt.Fprintln(w, "first listing\ttime\tthe tree's, to it")
		fmt.Fprintf(w, "in the tree\t%v\t\n", t.Round(10*time.Microsecond))
		fmt.Fprintf(w, "by hand in Go\t%v\t%.2f\n", h.Round(10*time.Microsecond), float64(t)/float64(h))
		fmt.Fprintf(w, "dmsetup and mount\t%v\t%.2f\n", d.Round(10*time.Microsecond), float64(t)/float64(d))
		w.Flush()
		fmt.Print(table.String())
	})
}

// accessible makes volumes of ext4 with a file, and gives a file of their names.
func accessible(b *testing.B, pool *thin.Pool) (names string) {
	b.Helper()
	const origin = 1000
	check(b, pool.CreateDevice(b.Context(), origin))
	d, err := pool.ActivateDevice(b.Context(), thin.Activation{Name: "origin", ID: origin, SizeBytes: volumeBytes})
	check(b, err)
	program(b, "mkfs.ext4", "-q", d.Path())
	mkdir(b, "/mnt/origin")
	mountExt4(b, d.Path(), "/mnt/origin")
	check(b, os.WriteFile("/mnt/origin/file", []byte("file\n"), 0o644))
	check(b, unix.Unmount("/mnt/origin", 0))
	var lines strings.Builder
	for id := range accessVolumes {
		check(b, pool.CreateSnapDevice(b.Context(), uint32(id), origin))
		fmt.Fprintf(&lines, "%d %d v%d\n", id, volumeBytes/sectorBytes, id)
	}
	names = filepath.Join(b.TempDir(), "names")
	check(b, os.WriteFile(names, []byte(lines.String()), 0o644))
	return names
}

// byHand activates a device read-only, mounts it attached nowhere, and lists its
// root. done unmounts and removes it.
func byHand(b *testing.B, client *dm.Client, id int) (done func()) {
	b.Helper()
	ctx, name := context.Background(), fmt.Sprint("hand-", id)
	pool, err := client.Info(ctx, "bench")
	check(b, err)
	_, err = client.Create(ctx, name, "")
	check(b, err)
	check(b, client.Load(ctx, name, []dm.Target{{
		Length: volumeBytes / sectorBytes, Type: "thin", Params: fmt.Sprintf("%d:%d %d", unix.Major(pool.Number), unix.Minor(pool.Number), id),
	}}, true))
	info, err := client.Resume(ctx, name, dm.Hidden)
	check(b, err)
	f, err := os.Open(dm.NodePath(info.Number))
	check(b, err)
	_, err = client.Remove(ctx, name, true, dm.Hidden)
	check(b, err)
	conf, err := unix.Fsopen("ext4", unix.FSOPEN_CLOEXEC)
	check(b, err)
	check(b, unix.FsconfigSetString(conf, "source", fmt.Sprintf("/proc/self/fd/%d", f.Fd())))
	check(b, unix.FsconfigSetFlag(conf, "ro"))
	check(b, unix.FsconfigCreate(conf))
	mount, err := unix.Fsmount(conf, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	check(b, err)
	root, err := unix.Openat(mount, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	check(b, err)
	dir := os.NewFile(uintptr(root), "root")
	_, err = dir.ReadDir(-1)
	check(b, err)
	return func() {
		dir.Close()
		unix.Close(mount)
		unix.Close(conf)
		f.Close()
	}
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
