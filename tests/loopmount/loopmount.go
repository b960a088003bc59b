// Package loopmount attaches loop devices to files for tests, and mounts images over such devices
// by mount(8).
//
// A mount(8) that looks for a free loop device claims a taken one for a moment:
// LOOP_CONFIGURE claims a device before it sees that the device is taken. If another
// process mounts that device in the same moment, the kernel refuses with EBUSY. Tests run in
// parallel, so this happens now and then, and the mount is tried again.
package loopmount

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const (
	tries = 20
	pause = 20 * time.Millisecond // between two
)

// Mount mounts an image at a folder. args are further arguments of mount(8), such as -o ro.
// The test fails if the image cannot be mounted. The caller unmounts it.
func Mount(t testing.TB, image, at string, args ...string) {
	t.Helper()
	for try := 1; ; try++ {
		cmd := exec.Command("mount", append(args, "-o", "loop", image, at)...)
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		out, err := cmd.CombinedOutput()
		if err == nil {
			return
		}
		if try == tries || !strings.Contains(string(out), "already mounted or mount point busy") {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
		time.Sleep(pause)
	}
}
