package lvm

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"thintree/meta"
	"thintree/tests/guest"
	"thintree/tests/loopmount"
	"thintree/thin/block"
)

// TestVolumesAreWhatTheKernelShows makes volumes with LVM and the kernel, writes to their devices, and
// reads the same bytes from where they lie.
func TestVolumesAreWhatTheKernelShows(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("lvm"); err != nil {
		t.Skipf("needs lvm: %v", err)
	}
	guest.Run(t, func(t *testing.T) {
		k := newKernel(t, 3)
		k.lvm("", "lvcreate", "-y", "-L", "8M", "-n", "linear", "vg-k")
		k.lvm("", "lvcreate", "-y", "-L", "12M", "-i", "3", "-I", "16k", "-n", "striped", "vg-k")
		k.lvm("", "lvextend", "-L", "20M", "vg-k/linear")
		k.lvm("", "lvcreate", "-y", "--type", "raid0", "-L", "8M", "-i", "2", "-I", "64k", "-n", "raid0", "vg-k")
		k.lvm("", "lvcreate", "-y", "--type", "raid0_meta", "-L", "8M", "-i", "2", "-I", "4k", "-n", "raid0-meta", "vg-k")
		k.lvm("", "lvcreate", "-y", "--type", "raid1", "-m", "1", "-L", "8M", "-n", "raid1", "vg-k")
		k.lvm("", "lvcreate", "-y", "--type", "raid1", "-m", "2", "-L", "4M", "-n", "three", "vg-k")
		k.lvm("", "lvcreate", "-y", "--type", "raid5", "-i", "2", "-L", "8M", "-n", "raid5", "vg-k")
		k.lvm("", "lvcreate", "-y", "-s", "-L", "4M", "-n", "snap", "vg-k/linear")
		k.lvm("", "lvcreate", "-y", "--type", "thin-pool", "-L", "8M", "--poolmetadatasize", "4M", "-n", "pool", "vg-k")
		k.lvm("", "lvcreate", "-y", "-V", "16M", "--thinpool", "pool", "-n", "thin", "vg-k")
		plain := []string{"linear", "striped", "raid0", "raid0-meta", "raid1", "three"}
		written := make(map[string][]byte)
		for i, name := range plain {
			written[name] = k.write(name, byte(i))
		}
		k.lvm("", "vgchange", "-an", "vg-k")
		c := k.compare(written)
		for name, kind := range map[string]string{"raid5": "raid5", "snap": "snapshot"} {
			if v := volume(t, c, "vg-k/"+name); v.Lost == nil || v.Kind != kind && !strings.HasPrefix(v.Kind, kind) {
				t.Errorf("%+v", v)
			}
		}
		if v := volume(t, c, "vg-k/thin"); v.Pool != "vg-k/pool" || len(c.Pools) != 1 || len(c.Warnings) > 0 {
			t.Errorf("%+v, %v", v, c.Warnings)
		}

		// Without the disk of the first leg the others are written to. After that the first is old.
		first := volume(t, c, "vg-k/raid1").Plain.Paths()[0]
		k.lvm(first, "lvchange", "-ay", "--activationmode", "degraded", "vg-k/raid1")
		again := map[string][]byte{"raid1": k.write("raid1", 100)}
		k.lvm(first, "lvchange", "-an", "vg-k/raid1")
		c = k.compare(again)
		if now := volume(t, c, "vg-k/raid1").Plain.Paths()[0]; now == first {
			t.Errorf("the old leg on %s is read", first)
		}
	})
}

// kernel is a group "vg-k" on loop devices of a machine with device-mapper.
type kernel struct {
	t     *testing.T
	disks []string
	dir   string
}

func newKernel(t *testing.T, disks int) *kernel {
	t.Helper()
	// The guest's modules are beside its init.
	const modules = `modprobe -a -d "$(dirname "$(readlink /proc/1/exe)")" dm-raid raid0 raid1`
	if out, err := exec.Command("sh", "-c", modules).CombinedOutput(); err != nil {
		t.Skipf("needs dm-raid: %v\n%s", err, out)
	}
	k := &kernel{t: t, dir: t.TempDir()}
	for n := range disks {
		path := filepath.Join(k.dir, fmt.Sprint("disk", n))
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, 64*mib); err != nil {
			t.Fatal(err)
		}
		k.disks = append(k.disks, loopmount.Attach(t, path, false).Path())
	}
	t.Cleanup(func() { k.lvm("", "vgchange", "-an", "vg-k") })
	k.lvm("", "pvcreate", slices.Concat([]string{"-y"}, k.disks)...)
	k.lvm("", "vgcreate", slices.Concat([]string{"-s", "1M", "vg-k"}, k.disks)...)
	return k
}

// lvm runs LVM without one of the disks.
func (k *kernel) lvm(without string, command string, args ...string) {
	k.t.Helper()
	var filter []string
	for _, d := range k.disks {
		if d != without {
			filter = append(filter, fmt.Sprintf(`"a|^%s$|"`, d))
		}
	}
	config := fmt.Sprintf(`devices { scan = ["/dev"] filter = [ %s, "r|.*|" ] use_devicesfile = 0 obtain_device_list_from_udev = 0 hints = "none" }
activation { udev_sync = 0 udev_rules = 0 monitoring = 0 } global { use_lvmlockd = 0 locking_dir = "%s" event_activation = 0 } backup { backup = 0 archive = 0 }`,
		strings.Join(filter, ", "), k.dir)
	out, err := exec.Command("lvm", slices.Concat([]string{command}, args, []string{"--config", config})...).CombinedOutput()
	if err != nil {
		k.t.Fatalf("lvm %s %q: %v\n%s", command, args, err, out)
	}
}

// write fills a volume with bytes.
func (k *kernel) write(name string, seed byte) []byte {
	k.t.Helper()
	f, err := os.OpenFile("/dev/mapper/"+deviceName("vg-k", name), os.O_WRONLY, 0)
	if err != nil {
		k.t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Seek(0, 2)
	if err != nil {
		k.t.Fatal(err)
	}
	p := make([]byte, size)
	rand.NewChaCha8([32]byte{seed}).Read(p)
	if _, err := f.WriteAt(p, 0); err != nil {
		k.t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		k.t.Fatal(err)
	}
	return p
}

// compare reads volumes from where they lie.
func (k *kernel) compare(want map[string][]byte) *meta.Catalog {
	k.t.Helper()
	c, err := New(k.disks...).Load(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	for name, want := range want {
		v := volume(k.t, c, "vg-k/"+name)
		if v.Lost != nil {
			k.t.Error(v.Lost)
			continue
		}
		r, err := v.Plain.Open(k.t.Context(), block.Options{Direct: true})
		if err != nil {
			k.t.Fatal(err)
		}
		p := make([]byte, len(want))
		_, err = r.ReadAt(k.t.Context(), p, 0)
		if err != nil || !bytes.Equal(p, want) || v.SizeBytes != int64(len(want)) || r.Size() != v.SizeBytes {
			k.t.Errorf("%s (%s): other bytes than were written, or %d instead of %d: %v", name, v.Plain, v.SizeBytes, len(want), err)
		}
		r.Close()
	}
	return c
}
