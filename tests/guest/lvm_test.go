package guest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"thintree/tests/manifest"
)

// lvmShell is a shell function lvm, which runs LVM without udev and without daemons, on loop devices
// and logical volumes only.
const lvmShell = `
lvm() {
	command lvm "$@" --config 'devices { scan=["/dev"] filter=["a|^/dev/loop|","a|^/dev/outer/|","r|.*|"] scan_lvs=1 obtain_device_list_from_udev=0 use_devicesfile=0 }
		activation { udev_sync=0 udev_rules=0 monitoring=0 } backup { backup=0 archive=0 } global { locking_dir="/run/lock-lvm" }' >/dev/null
}
# fill VOLUME makes a filesystem, if there is none, writes files, and leaves it mounted on $dir/VOLUME.
fill() {
	mkdir -p $dir/$1
	[ -n "$(blkid /dev/$vg/$1)" ] || mkfs.${2:-ext4} -q /dev/$vg/$1
	mount /dev/$vg/$1 $dir/$1
	mkdir $dir/$1/d; echo "$1" >$dir/$1/d/name; head -c 300000 /dev/urandom >$dir/$1/d/random
	setfattr -n user.a -v b $dir/$1/d/name; ln -s d/name $dir/$1/link
}
`

// needsLVM skips the test unless LVM is there.
func needsLVM(t *testing.T) {
	t.Helper()
	for _, program := range []string{"lvm", "mkfs.ext4", "mkfs.xfs", "sfdisk"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s: %v", program, err)
		}
	}
}

// lvmGroup3 makes a group vg0 on three disks, with volumes of many kinds that are mounted in a folder.
func lvmGroup3(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	sh(t, lvmShell+"vg=vg0 dir="+dir+`
for n in 1 2 3; do truncate -s 700M $dir/disk$n; losetup --find --show $dir/disk$n; done >$dir/disks
lvm vgcreate vg0 $(cat $dir/disks)
lvm lvcreate -y -n linear -L 32M vg0
lvm lvcreate -y -n striped -i 3 -I 64k -L 48M vg0
lvm lvcreate -y --type raid1 -m 1 -n mirrored -L 32M vg0
lvm lvcreate -y --type raid5 -i 2 -L 24M -n parity vg0
lvm lvcreate -y --type thin-pool -i 2 -I 64k -n pool-0 -L 200M --poolmetadatasize 8M --chunksize 64K vg0
lvm lvcreate -y -n root --addtag web --addtag 'a/b' -V 300M --thinpool pool-0 vg0
lvm lvcreate -y -n data -V 400M --thinpool pool-0 vg0
for v in linear striped mirrored root; do fill $v; done
fill data xfs
lvm lvcreate -y -s -n root-snap vg0/root
echo later >$dir/root/later
lvm lvextend -y -L +120M vg0/pool-0
head -c 100000000 /dev/urandom >$dir/root/large
lvm lvextend -y -L +120M vg0/pool-0
head -c 100000000 /dev/urandom >$dir/data/large
lvm lvcreate -y -n golden -L 40M vg0
fill golden
umount $dir/golden
lvm lvchange -an vg0/golden
lvm lvchange -pr vg0/golden
lvm lvcreate -y -s --thinpool vg0/pool-0 -n clone vg0/golden
lvm lvchange -ay -K vg0/clone
mkdir $dir/clone; mount /dev/vg0/clone $dir/clone; echo own >$dir/clone/own; umount $dir/clone
sync`)
	return dir
}

// shown is what a folder holds.
func shown(t *testing.T, dir string) manifest.Manifest {
	t.Helper()
	m, err := manifest.OfDir(t.Context(), dir, manifest.Options{})
	noError(t, err)
	return m
}

func TestVolumeGroupOfThisHost(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		needsLVM(t)
		dir := lvmGroup3(t)
		if got := tell(t, "sources"); !strings.Contains(got, "lvm:vg0 ") || strings.Contains(got, "dm:") {
			t.Errorf("thintree sources says\n%s", got)
		}
		mnt := mountTree(t, "lvm:vg0")
		volumes := filepath.Join(mnt, "volumes/vg0")
		t.Run("what is mounted shows through its mount", func(t *testing.T) {
			for _, name := range []string{"linear", "striped", "mirrored", "root", "data"} {
				equal(t, shown(t, filepath.Join(dir, name)), filepath.Join(volumes, name))
			}
			sh(t, "echo now >"+dir+"/root/now")
			if got := sh(t, "cat "+volumes+"/root/now"); got != "now\n" {
				t.Errorf("a file that was written just now holds %q", got)
			}
		})
		t.Run("what is not", func(t *testing.T) {
			for _, name := range []string{"root-snap", "clone", "golden"} {
				kernel := t.TempDir()
				sh(t, fmt.Sprintf("%slvm lvchange -ay -K vg0/%s; mount -o ro,noload /dev/vg0/%[2]s %s", lvmShell, name, kernel))
				want := shown(t, kernel)
				sh(t, "umount "+kernel+";"+lvmShell+"lvm lvchange -an vg0/"+name)
				// Until the end of the activation is seen, the volume is another one.
				within(t, seconds, "it shows what the kernel does", func() error {
					if diff := manifest.Diff(want, shown(t, filepath.Join(volumes, name))); diff != "" {
						return fmt.Errorf("%s: %s", name, diff)
					}
					return nil
				})
			}
		})
		t.Run("tags, kinds and origins are told", func(t *testing.T) {
			for name, words := range map[string][]string{
				"root":      {`"web"`, `"a/b"`, `"kind": "thin"`},
				"root-snap": {`"parent": "vg0/root"`},
				"clone":     {`"external_origin": "vg0/golden"`},
				"mirrored":  {`"kind": "raid1"`},
				"striped":   {`"kind": "striped"`},
			} {
				text := sh(t, "cat "+mnt+"/info/vg0/"+name+".json")
				for _, word := range words {
					if !strings.Contains(text, word) {
						t.Errorf("%s: info has no %s:\n%s", name, word, text)
					}
				}
			}
		})
		t.Run("a kind that is not read is listed with the reason", func(t *testing.T) {
			entries, err := os.ReadDir(volumes + "/parity")
			wants(t, fmt.Sprintf("a raid5, which lists %v", entries), err, syscall.EMEDIUMTYPE)
			if text := sh(t, "cat "+mnt+"/info/vg0/parity.json"); !strings.Contains(text, "parity or copies") {
				t.Errorf("info does not say why: %s", text)
			}
			if got := tell(t, "ls", "--long", "lvm:vg0"); !strings.Contains(got, "vg0/parity") {
				t.Errorf("ls does not list it:\n%s", got)
			}
		})
		t.Run("a temporary snapshot is no volume", func(t *testing.T) {
			mnt := mountTree(t, "--live", "snapshot", "lvm:vg0")
			if got := sh(t, "exec <"+mnt+"/volumes/vg0/root/d/name; ls /var/lib/thintree/temporary; sleep 1.5; ls "+mnt+"/by-id/vg0/pool-0 "+mnt+"/volumes/vg0"); !strings.Contains(got, ".json") || strings.Contains(got, "1677721") {
				t.Errorf("there is no snapshot, or it is shown: %s", got)
			}
		})
		t.Run("its owner is not disturbed", func(t *testing.T) { lvmOwnerGoesOn(t, mnt) })
		t.Run("after it was deactivated", func(t *testing.T) {
			want := make(map[string]manifest.Manifest)
			for _, name := range []string{"linear", "striped", "mirrored", "root"} {
				sh(t, "umount "+dir+"/"+name)
				kernel := t.TempDir()
				sh(t, fmt.Sprintf("mount -o ro,noload /dev/vg0/%s %s", name, kernel))
				want[name] = shown(t, kernel)
				sh(t, "umount "+kernel)
			}
			sh(t, "umount "+dir+"/data;"+lvmShell+"lvm vgchange -an vg0")
			for name, m := range want {
				within(t, seconds, "it shows what lies on the disks", func() error {
					if diff := manifest.Diff(m, shown(t, filepath.Join(volumes, name))); diff != "" {
						return fmt.Errorf("%s: %s", name, diff)
					}
					return nil
				})
			}
			// Of the disks alone, without the third.
			sh(t, "losetup -D")
			part := mountTree(t, "lvm:"+dir+"/disk1,"+dir+"/disk2")
			equal(t, want["linear"], filepath.Join(part, "volumes/vg0/linear"))
			_, err := os.ReadDir(filepath.Join(part, "volumes/vg0/striped"))
			wants(t, "a volume on a disk that is missing", err, syscall.EIO)
			if text := sh(t, "cat "+part+"/info/vg0/striped.json"); !strings.Contains(text, "it needs the disk with the id ") {
				t.Errorf("info does not say which disk is missing: %s", text)
			}
			sh(t, "for n in 1 2 3; do losetup --find "+dir+"/disk$n; done")
			// With a mount of the kernel's what only that reads.
			byKernel := mountTree(t, "--engine", "kernel", "lvm:vg0")
			for _, name := range []string{"clone", "golden", "striped"} {
				// The disks were detached just now, so the other tree finds them again in a moment.
				within(t, seconds, "both engines show the same", func() error {
					if diff := manifest.Diff(shown(t, filepath.Join(volumes, name)), shown(t, filepath.Join(byKernel, "volumes/vg0", name))); diff != "" {
						return fmt.Errorf("%s: %s", name, diff)
					}
					return nil
				})
			}
			if got := sh(t, "cat "+byKernel+"/volumes/vg0/data/d/name"); got != "data\n" {
				t.Errorf("a file of an xfs volume holds %q", got)
			}
		})
	})
}

// lvmOwnerGoesOn runs LVM's commands while walkers read the tree, and checks that volumes come and go
// in the tree as well.
func lvmOwnerGoesOn(t *testing.T, mnt string) {
	t.Helper()
	stop := make(chan struct{})
	var walkers sync.WaitGroup
	for range 2 {
		walkers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				exec.Command("bash", "-c", "find "+mnt+"/volumes -type f -print0 | xargs -0 cat >/dev/null").Run()
			}
		})
	}
	defer func() { close(stop); walkers.Wait() }()
	has := func(name string, want bool) {
		t.Helper()
		within(t, seconds, fmt.Sprintf("%s is shown: %v", name, want), func() error {
			entries, err := os.ReadDir(filepath.Join(mnt, "volumes/vg0"))
			if err != nil {
				return err
			}
			if got := slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == name }); got != want {
				return fmt.Errorf("it is not: %v", entries)
			}
			return nil
		})
	}
	const longest = 10 * time.Second
	for round := range 2 {
		name := fmt.Sprint("new", round)
		for _, step := range []struct {
			command, name string
			shown         bool
		}{
			{"lvcreate -y -s -n " + name + " vg0/root", name, true},
			{"lvchange -ay -K vg0/" + name, name, true},
			{"lvextend -y -L +40M vg0/" + name, name, true},
			{"lvrename vg0 " + name + " other", "other", true},
			{"lvremove -y vg0/other", "other", false},
			{"lvcreate -y -n plain -L 8M vg0", "plain", true},
			{"lvextend -y -L +8M vg0/plain", "plain", true},
			{"lvremove -y vg0/plain", "plain", false},
		} {
			begin := time.Now()
			sh(t, lvmShell+"lvm "+step.command)
			if took := time.Since(begin); took > longest {
				t.Errorf("%s took %v", step.command, took)
			}
			has(step.name, step.shown)
		}
	}
}

func TestVolumeGroupsWithinDisksAndVolumes(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		needsLVM(t)
		dir := t.TempDir()
		// The disk of a machine: a partition with a filesystem and one with a group. It is a thin
		// volume of another group, which is striped over two partitions of an image.
		sh(t, lvmShell+"dir="+dir+` vg=
partition() { losetup --find --show --offset $(($2*512)) --sizelimit $(($3*512)) $1; }
mkdir $dir/inner-root $dir/boot
truncate -s 900M $dir/image
printf 'label: gpt\nstart=2048, size=204800\nstart=206848, size=800000, type=lvm\nstart=1007616, size=800000, type=lvm\n' | sfdisk -q $dir/image
lvm vgcreate outer $(partition $dir/image 206848 800000) $(partition $dir/image 1007616 800000)
lvm lvcreate -y --type thin-pool -i 2 -n pool -L 500M --chunksize 64K outer
lvm lvcreate -y -n vm-1-disk-0 -V 600M --thinpool pool outer
printf 'label: dos\nstart=2048, size=102400\nstart=104448, size=1000000, type=8e\n' | sfdisk -q --no-reread --no-tell-kernel /dev/outer/vm-1-disk-0
boot=$(partition /dev/outer/vm-1-disk-0 2048 102400)
mkfs.ext4 -q $boot; mount $boot $dir/boot; echo boot >$dir/boot/file; umount $dir/boot; losetup -d $boot
inner=$(partition /dev/outer/vm-1-disk-0 104448 1000000)
vg=inner
lvm vgcreate inner $inner
lvm lvcreate -y --type thin-pool -n pool -L 300M inner
lvm lvcreate -y -n root -V 400M --thinpool pool inner
fill root; umount $dir/root
lvm lvcreate -y -n swap -L 16M inner
mkswap /dev/inner/swap >/dev/null`)
		kernel := t.TempDir()
		sh(t, "mount -o ro,noload /dev/inner/root "+kernel)
		want := shown(t, kernel)
		sh(t, "umount "+kernel+";"+lvmShell+"lvm vgchange -an inner; losetup -d $(losetup -n -O NAME -j /dev/outer/vm-1-disk-0); lvm vgchange -an outer; losetup -D")
		for _, source := range []struct{ argument, disk string }{
			{"lvm:" + dir + "/image", "volumes/outer/vm-1-disk-0"},
			{"disk:" + dir + "/image", "volumes/image/p2/outer/vm-1-disk-0"},
			{"disk:" + dir + "/image", "volumes/image/p3/outer/vm-1-disk-0"},
		} {
			mnt := mountTree(t, source.argument)
			disk := filepath.Join(mnt, source.disk)
			equal(t, want, disk+"/p2/inner/root")
			if got := sh(t, "cat "+disk+"/p1/file; ls "+disk+"/p2/inner | xargs"); got != "boot\nroot swap\n" {
				t.Errorf("%s: %q", source.argument, got)
			}
		}
	})
}
