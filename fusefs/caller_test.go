package fusefs

import (
	"math"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTrustedAttributesAreForThreadsWithTheCapability(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	thread := uint32(unix.Gettid())
	if !maySeeTrusted(thread) {
		t.Error("root may not see them")
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var all [2]unix.CapUserData
	if err := unix.Capget(&header, &all[0]); err != nil {
		t.Fatal(err)
	}
	less := all
	less[0].Effective &^= 1 << unix.CAP_SYS_ADMIN
	if err := unix.Capset(&header, &less[0]); err != nil {
		t.Fatal(err)
	}
	may := maySeeTrusted(thread)
	if err := unix.Capset(&header, &all[0]); err != nil {
		t.Fatal(err)
	}
	if may {
		t.Error("a thread of root without CAP_SYS_ADMIN may see them")
	}
}

func TestTrustedAttributesAreNotForUnknownThreads(t *testing.T) {
	t.Parallel()
	for _, thread := range []uint32{0, math.MaxUint32} {
		if maySeeTrusted(thread) {
			t.Errorf("thread %d may see them", thread)
		}
	}
}
