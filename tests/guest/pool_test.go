package guest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	sectorBytes = 512
	mib         = 1 << 20

	volumeBytes = 16 * mib
)

// pool is an active thin pool over loop devices over files.
type pool struct {
	metadata, data         string // block devices
	metadataFile, dataFile string
}

// newPool makes a pool with data blocks of 64 KiB, its files in a folder. It goes
// with the guest.
func newPool(t *testing.T, dir string) *pool {
	t.Helper()
	for _, program := range []string{"dmsetup", "losetup", "mkfs.ext4"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s: %v", program, err)
		}
	}
	const metadataBytes, dataBytes = 4 * mib, 512 * mib
	p := &pool{metadataFile: newFile(t, dir, "metadata", metadataBytes), dataFile: newFile(t, dir, "data", dataBytes)}
	p.attach(t)
	return p
}

// attach makes loop devices over the pool's files, and activates it by load.
func (p *pool) attach(t *testing.T) {
	t.Helper()
	p.metadata, p.data = attach(t, p.metadataFile), attach(t, p.dataFile)
	p.load(t)
}

// load activates the pool over its loop devices.
func (p *pool) load(t *testing.T) {
	t.Helper()
	sh(t, fmt.Sprintf("dmsetup create pool --table \"0 $(blockdev --getsz %s) thin-pool %s %s 128 0\"", p.data, p.metadata, p.data))
}

// loop is a loop device over a new file of a length in bytes.
func loop(t *testing.T, path string, bytes int64) string {
	t.Helper()
	return attach(t, newFile(t, filepath.Dir(path), filepath.Base(path), bytes))
}

// newFile makes a file of a length in bytes.
func newFile(t *testing.T, dir, name string, bytes int64) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, bytes); err != nil {
		t.Fatal(err)
	}
	return path
}

// attach is a loop device over a file.
func attach(t *testing.T, path string) string {
	t.Helper()
	return strings.TrimSpace(sh(t, "losetup --find --show "+path))
}

// create makes an empty device in the pool.
func (p *pool) create(t *testing.T, id int) {
	t.Helper()
	sh(t, fmt.Sprintf("dmsetup message pool 0 'create_thin %d'", id))
}

// snapshot makes a device that is as an active one is now.
func (p *pool) snapshot(t *testing.T, id, of int) {
	t.Helper()
	sh(t, fmt.Sprintf("dmsetup suspend thin-%d && dmsetup message pool 0 'create_snap %d %d' && dmsetup resume thin-%d", of, id, of, of))
}

func (p *pool) delete(t *testing.T, id int) {
	t.Helper()
	sh(t, fmt.Sprintf("dmsetup message pool 0 'delete %d'", id))
}

// activate gives the path of a device of volumeBytes.
func (p *pool) activate(t *testing.T, id int) string {
	t.Helper()
	sh(t, fmt.Sprintf("dmsetup create thin-%d --table '0 %d thin /dev/mapper/pool %d'", id, volumeBytes/sectorBytes, id))
	return fmt.Sprintf("/dev/mapper/thin-%d", id)
}

// read is all bytes of a device that is not active, as the kernel reads it.
func (p *pool) read(t *testing.T, id int) []byte {
	t.Helper()
	all, err := os.ReadFile(p.activate(t, id))
	if err != nil {
		t.Fatal(err)
	}
	sh(t, fmt.Sprintf("dmsetup remove thin-%d", id))
	return all
}

// sh runs a shell command and gives what it prints.
func sh(t *testing.T, command string) string {
	t.Helper()
	cmd := exec.Command("bash", "-ec", command)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", command, err, out, stderr.String())
	}
	return string(out)
}

// mounted is where a device with a new ext4 filesystem is mounted. It stays so
// until the guest ends.
func mounted(t *testing.T, device string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mounted-")
	if err != nil {
		t.Fatal(err)
	}
	sh(t, "mkfs.ext4 -q "+device+" && mount "+device+" "+dir)
	return dir
}
