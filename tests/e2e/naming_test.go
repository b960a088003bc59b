package e2e

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"thintree/tests/pools"
)

func TestVolumesOfAGroupWithoutAFilesystemAreThere(t *testing.T) {
	t.Parallel()
	mnt := mount(t, "lvm:"+pools.LVM(t))
	for _, path := range []string{"volumes/vg0/linear", "volumes/vg0/vm-100-disk-0/p3"} {
		if entries, err := os.ReadDir(filepath.Join(mnt, path)); !errors.Is(err, syscall.EMEDIUMTYPE) {
			t.Errorf("%s is not formatted, but lists %v: %v", path, entries, err)
		}
	}
	for path, want := range map[string]int64{"raw/vg0/linear.img": 64 << 20, "raw/vg0/vm-100-disk-0.parts/p3.img": 614400 * 512} {
		st, err := os.Stat(filepath.Join(mnt, path))
		if err != nil || st.Size() != want {
			t.Errorf("%s has not %d bytes: %+v, %v", path, want, st, err)
		}
	}
	info := sh(t, mnt, "cat info/vg0/linear.json info/vg0/root-snap1.json")
	for _, want := range []string{`"kind": "linear"`, `"holds": "nothing but zeros"`, `"parent": "vg0/root"`, `"uuid": "g5irFN-`} {
		if !strings.Contains(info, want) {
			t.Errorf("info has no %s:\n%s", want, info)
		}
	}
}

func TestFormerTextsOfAGroupAreTold(t *testing.T) {
	t.Parallel()
	got := thintree(t, "info", "lvm:"+pools.LVM(t)).must(t)
	for _, want := range []string{"vgcreate vg0", "metadata area, current"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("info does not say %q once:\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\nvg0 "); n != 15 {
		t.Errorf("info lists %d texts of the group, want 15:\n%s", n, got)
	}
}

func TestBackupsOfAGroupInAVolumeAreTold(t *testing.T) {
	t.Parallel()
	needs(t, root, loops, tool("mkfs.ext4"))
	dir := t.TempDir()
	sh(t, dir, `truncate -s 32M fs; mkfs.ext4 -q fs; mkdir at; mount -o loop fs at; mkdir -p at/etc/lvm/archive
strings -n 1 `+pools.LVM(t)+` | head -c 1000000 | awk '/^contents = /{n++} n==3' >text; echo no text >at/etc/lvm/archive/other
dd if=`+pools.LVM(t)+` bs=512 skip=8 count=2040 status=none | tr -d '\0' | awk '/^vg0 \{/{n++} n==2' >at/etc/lvm/archive/vg0_00001.vg; umount at`)
	got := thintree(t, "info", "disk:"+dir+"/fs", "fs").must(t)
	if !strings.Contains(got, "/etc/lvm/archive/vg0_00001.vg") || strings.Contains(got, "archive/other") {
		t.Errorf("info does not tell of the archive:\n%s", got)
	}
}

func TestSeveralSourcesAreFoldersOfOneTree(t *testing.T) {
	t.Parallel()
	storage := pools.Storage(t)
	mnt := mount(t, "docker:"+pools.Docker(t), "lvm:"+pools.LVM(t), "store:"+storeCopy(t, storage))
	got := sh(t, mnt, "echo *; ls docker-docker/containers lvm-disk.img/volumes/vg0/root")
	if !strings.HasPrefix(got, "docker-docker lvm-disk.img store-") || !strings.Contains(got, "stopped-web") || !strings.Contains(got, "v2.txt") {
		t.Errorf("the tree has %s", got)
	}
	if r := thintree(t, "umount", "--volume", "vg0/root", mnt); r.status != 0 {
		t.Errorf("umount --volume: %s", r.stderr)
	}
	if r := thintree(t, "umount", "--volume", "base", mnt); r.status != 1 || !strings.Contains(r.stderr, "docker-docker/base") {
		t.Errorf("a volume that two sources have: exit status %d, %s", r.status, r.stderr)
	}
	if r := thintree(t, "umount", "--volume", "docker-docker/base", mnt); r.status != 0 {
		t.Errorf("umount --volume FOLDER/VOLUME: %s", r.stderr)
	}
}

// storeCopy is a store with the pool and the records of containers/storage.
func storeCopy(t *testing.T, storage string) string {
	dir := filepath.Join(t.TempDir(), "other")
	sh(t, "/", "mkdir -p "+dir+"/devicemapper && cp -r "+storage+"/root/devicemapper/metadata "+dir+
		" && cp --sparse=always "+storage+"/meta "+dir+"/devicemapper/metadata && cp --sparse=always "+storage+"/data "+dir+"/devicemapper/data")
	return dir
}

func TestPathIsRecognisedByWhatLiesThere(t *testing.T) {
	t.Parallel()
	ctd, storage := pools.Containerd(t), pools.Storage(t)
	disk := filepath.Join(t.TempDir(), "disk")
	// A partition with the group makes the image a disk as well.
	sh(t, "/", "truncate -s 2200M "+disk+` && printf 'label: gpt\nstart=2048,type=lvm\n' | sfdisk -q `+disk+
		" && dd if="+pools.LVM(t)+" of="+disk+" bs=1M seek=1 conv=notrunc,sparse status=none")
	for _, c := range []struct {
		args   []string
		volume string
	}{
		{[]string{pools.Docker(t)}, "base"},
		{[]string{"--pool", ctd + "/meta," + ctd + "/data", ctd + "/root"}, "ctd-pool-snap-1"},
		{[]string{"--pool", storage + "/meta," + storage + "/data", storage + "/root"}, "base"},
		{[]string{pools.LVM(t)}, "vg0/root"},
	} {
		if got := thintree(t, append([]string{"ls"}, c.args...)...).must(t); !strings.Contains(got, c.volume+"\n") {
			t.Errorf("%v has no volume %s:\n%s", c.args, c.volume, got)
		}
	}
	r := thintree(t, "ls", disk)
	if r.status != 1 || !strings.Contains(r.stderr, "lvm:"+disk) || !strings.Contains(r.stderr, "disk:"+disk) {
		t.Errorf("an image that can be two sources: exit status %d, %s", r.status, r.stderr)
	}
	if got := thintree(t, "ls", "disk:"+disk, "disk:/p1/vg0/root").must(t); !strings.Contains(got, "v2.txt") {
		t.Errorf("the group in the partition holds %q", got)
	}
}

func TestNamesOfAnotherPoolAreShownOnlyIfForced(t *testing.T) {
	t.Parallel()
	storage, ctd := pools.Storage(t), pools.Containerd(t)
	foreign := []string{"--pool", storage + "/meta," + storage + "/data", "containerd:" + ctd + "/root"}
	if r := thintree(t, append([]string{"ls"}, foreign...)...); r.status != 1 || r.stdout != "" || !strings.Contains(r.stderr, "this is another pool") {
		t.Errorf("exit status %d, %s%s", r.status, r.stdout, r.stderr)
	}
	r := thintree(t, append([]string{"ls", "--long", "--force-names"}, foreign...)...)
	if r.status != 3 || !strings.Contains(r.stdout, "ctd-pool-snap-5") || !strings.Contains(r.stdout, "(forced)") {
		t.Errorf("forced: exit status %d, %s%s", r.status, r.stdout, r.stderr)
	}
	// A group whose text is older than its pool.
	disk := filepath.Join(t.TempDir(), "disk")
	sh(t, "/", "cp --sparse=always "+pools.LVM(t)+" "+disk)
	setTransaction(t, disk, 1<<20+276*(4<<20), 9)
	if r := thintree(t, "ls", "lvm:"+disk); r.status != 1 || !strings.Contains(r.stderr, "its transaction id is 9, but the records say 5") {
		t.Errorf("a pool with another transaction id: exit status %d, %s%s", r.status, r.stdout, r.stderr)
	}
	if got := thintree(t, "ls", "--force-names", "lvm:"+disk, "vg0/root:/").must(t); !strings.Contains(got, "v2.txt") {
		t.Errorf("forced, root holds %q", got)
	}
}

// setTransaction sets the transaction id in the superblock of a pool's metadata, which begin at an
// offset in a file.
func setTransaction(t *testing.T, path string, offset int64, id uint64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const transactionAt, salt = 48, 160774
	block := make([]byte, 4096)
	if _, err := f.ReadAt(block, offset); err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint64(block[transactionAt:], id)
	binary.LittleEndian.PutUint32(block, ^crc32.Checksum(block[4:], crc32.MakeTable(crc32.Castagnoli))^salt)
	if _, err := f.WriteAt(block, offset); err != nil {
		t.Fatal(err)
	}
}
