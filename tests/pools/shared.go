package pools

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Docker is a Docker root with the devicemapper driver.
func Docker(t testing.TB) string { return shared(t, "docker-ext4", "docker") }

// Containerd is a folder with the pool of containerd's devmapper snapshotter,
// meta and data, and containerd's databases below root.
func Containerd(t testing.TB) string { return shared(t, "containerd-ext4", "ctd") }

// Storage is a folder with the pool of containers-storage, meta and data, and its
// records below root.
func Storage(t testing.TB) string { return shared(t, "storage-ext4", "storage") }

// LVM is the image of a whole disk with a volume group.
func LVM(t testing.TB) string { return shared(t, "lvm-disk", "disk.img") }

// Truth is what the kernel showed of the volumes of an archive, as [Manifests].
func Truth(t testing.TB, name string) map[string]string {
	t.Helper()
	list, err := Manifests(name)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func shared(t testing.TB, name, path string) string {
	t.Helper()
	dir, err := unpackers[name]()
	if err != nil {
		t.Fatalf("unpacking %s: %v", name, err)
	}
	return filepath.Join(dir, path)
}

// unpackers give the folder of each archive, which is looked at once a process.
var unpackers = map[string]func() (string, error){
	"docker-ext4":     once("docker-ext4"),
	"containerd-ext4": once("containerd-ext4"),
	"storage-ext4":    once("storage-ext4"),
	"lvm-disk":        once("lvm-disk"),
}

func once(name string) func() (string, error) {
	return sync.OnceValues(func() (string, error) { return unpackShared(name) })
}

// unpackShared gives the folder where an archive is unpacked for everybody of
// this user. One process unpacks it, the others wait.
func unpackShared(name string) (string, error) {
	packed, err := archive(name)
	if err != nil {
		return "", err
	}
	all, err := ownFolder()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(all, fmt.Sprintf("%s-%x", name, sha256.Sum256(packed))[:len(name)+17])
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	sumPath := dir + ".sum"
	if want, err := os.ReadFile(sumPath); err == nil {
		if sum, err := Hash(dir); err == nil && sum == string(want) {
			return dir, nil
		}
	}
	if err := errors.Join(os.RemoveAll(sumPath), os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
		return "", err
	}
	if err := Unpack(dir, name); err != nil {
		return "", err
	}
	sum, err := Hash(dir)
	if err != nil {
		return "", err
	}
	// With the sum it is whole.
	return dir, os.WriteFile(sumPath, []byte(sum), 0o600)
}

// ownFolder is a folder that only this user can write to.
func ownFolder() (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("thintree-pools-%d", os.Geteuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return "", fmt.Errorf("%s: %w", dir, err)
	}
	if st.Mode != unix.S_IFDIR|0o700 || int(st.Uid) != os.Geteuid() {
		return "", fmt.Errorf("%s is not a folder of this user alone: remove it", dir)
	}
	return dir, nil
}

func lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return f.Close, nil
}
