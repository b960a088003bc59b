package guest

import (
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// dearFault is what the first touch of a page takes, at least, on machines on which
// guests hinder each other. On bare metal and under most hypervisors it takes less
// than a microsecond. If a host keeps a machine's page tables by software it takes
// ten. There two guests at once each take more than twice as long as one after the
// other, since a guest mostly changes page tables.
const dearFault = 3 * time.Microsecond

// turn waits until a guest may boot: not at all, or until no other guest runs on this
// machine if guests hinder each other. After done the next one may boot.
func turn(t testing.TB) (done func()) {
	t.Helper()
	path, err := exec.LookPath(kernel)
	if err != nil {
		t.Fatal(err)
	}
	guests, err := os.Open(path) // a file that all runs of the tests have in common
	if err != nil {
		t.Fatal(err)
	}
	how := unix.LOCK_SH
	if fault() > dearFault {
		how = unix.LOCK_EX
	}
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(int(guests.Fd()), how)
	}
	if err != nil {
		t.Fatalf("lock %s: %v", path, err)
	}
	return func() { guests.Close() }
}

// fault is what the first touch of a page takes, in the fastest of some rounds.
var fault = sync.OnceValue(func() time.Duration {
	const pages, rounds = 256, 5
	size := os.Getpagesize()
	fastest := time.Hour
	for range rounds {
		m, err := unix.Mmap(-1, 0, pages*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return 0
		}
		unix.Madvise(m, unix.MADV_NOHUGEPAGE)
		start := time.Now()
		for i := range pages {
			m[i*size] = 1
		}
		fastest = min(fastest, time.Since(start)/pages)
		unix.Munmap(m)
	}
	return fastest
})
