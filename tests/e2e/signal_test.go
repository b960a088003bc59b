package e2e

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"thintree/tests/pools"
)

// TestSignalsDoNotFailRequests walks under a rain of signals that are caught: as
// on any filesystem on a disk, no request fails for them.
func TestSignalsDoNotFailRequests(t *testing.T) {
	t.Parallel()
	mnt := mount(t, "docker:"+pools.Docker(t))
	stop := make(chan struct{})
	rained := make(chan struct{})
	go func() {
		defer close(rained)
		for {
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Microsecond):
				// The Go runtime catches it, and restarts what can be.
				syscall.Kill(syscall.Getpid(), syscall.SIGURG)
			}
		}
	}()
	seen := 0
	var walk func(dir string)
	walk = func(dir string) {
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Errorf("open %s: %v", dir, err)
			return
		}
		defer unix.Close(fd)
		var names []string
		buf := make([]byte, 4096)
		for {
			n, err := unix.ReadDirent(fd, buf)
			if err != nil {
				t.Errorf("list %s: %v", dir, err)
				return
			}
			if n == 0 {
				break
			}
			_, _, names = unix.ParseDirent(buf[:n], -1, names)
		}
		for _, name := range names {
			path := filepath.Join(dir, name)
			var st unix.Stat_t
			if err := unix.Lstat(path, &st); err != nil {
				t.Errorf("stat %s: %v", path, err)
				continue
			}
			if _, err := unix.Llistxattr(path, buf); err != nil {
				t.Errorf("xattrs of %s: %v", path, err)
			}
			if seen++; st.Mode&unix.S_IFMT == unix.S_IFDIR {
				walk(path)
			}
		}
	}
	if testing.Short() {
		walk(filepath.Join(mnt, "volumes", layer))
	} else {
		walk(filepath.Join(mnt, "volumes"))
	}
	close(stop)
	<-rained
	if seen < many(1000) {
		t.Errorf("only %d entries were seen", seen)
	}
}
