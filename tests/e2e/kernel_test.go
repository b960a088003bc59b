package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"thintree/tests/guest"
	"thintree/thin/inuse"
)

const (
	ofUser  = "only root has the kernel engine"
	ofLoop  = "loop devices stand in for device-mapper, in a kernel that passes files through"
	ofNone  = "it is of the mount, whatever reads the volumes"
	ofGuest = "TestEnginesShowRealPoolsAlike of tests/guest holds it, of an active pool too"
)

// notOverTheKernel are the tests that are not run over the kernel engine, as
// -test.skip has them, and why.
var notOverTheKernel = map[string]string{
	"TestOverTheKernelEngine":                               "it runs the others",
	"TestOrdinaryUserMounts":                                ofUser,
	"TestOrdinaryUserUnmountsAVolumeOfTheirTree":            ofUser,
	"TestUserIsHeldToModesIfTheyWant":                       ofUser,
	"TestWrongInputIsOneLineThatSaysWhatToDo":               "it fails before an engine is chosen",
	"TestTreeIsNotMountedOverWhatItIsMadeOf":                ofNone,
	"TestTreeDoesNotWaitForItself":                          ofNone,
	"TestTwoTreesOverEachOthersSources":                     ofNone,
	"TestSourceInAnOlderTree":                               ofNone,
	"TestLoopDeviceOverAnImageInTheTree":                    ofNone,
	"TestCallersOfAHungTreeAreFreed":                        ofNone,
	"TestStoppedDaemonIsLeftAlone":                          ofNone,
	"TestShortDataFileMountsWithAWarning":                   "the kernel activates no pool whose data are too short",
	"TestVolumesEqualWhatTheKernelShowed$/^docker-ext4":     ofGuest,
	"TestVolumesEqualWhatTheKernelShowed$/^containerd-ext4": ofGuest,
	"TestFilesPassedThroughAreAsOnTheKernelsOwnMount":       ofLoop,
	"TestFilesPassedThroughAreReadInEveryWay":               ofLoop,
	"TestManyOpenOneFileThatIsPassedThroughAtOnce":          ofLoop,
	"TestVolumeOfAFilePassedThroughIsClosedAfterIt":         ofLoop,
	"TestVolumeWithAFilePassedThroughIsUnmountedLazily":     ofLoop,
	"TestMappedFileThatIsPassedThroughKeepsItsDevice":       ofLoop,
}

// TestOverTheKernelEngine runs all others over the kernel engine too, in a guest with
// device-mapper.
func TestOverTheKernelEngine(t *testing.T) {
	t.Parallel()
	var skip []string
	for _, name := range slices.Sorted(maps.Keys(notOverTheKernel)) {
		skip = append(skip, "^"+name+"$")
		t.Logf("left out: %s: %s", name, notOverTheKernel[name])
	}
	guest.Suite(t, "-test.skip", strings.Join(skip, "|"), "-test.parallel", "4", "-engine", "kernel", "-program", program)
}

// nothingLent waits until no device is active any more that was lent to a tree, and
// no loop device is there over a file of a test.
func nothingLent() error {
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		out, err := exec.Command("sh", "-c", "dmsetup ls && losetup -n -O NAME,BACK-FILE").CombinedOutput()
		if err != nil {
			return fmt.Errorf("listing devices: %w: %s", err, out)
		}
		if text := string(out); !strings.Contains(text, inuse.LentPrefix) && !strings.Contains(text, " "+os.TempDir()+"/") {
			return nil
		}
		if time.Since(begin) > 30*time.Second {
			return fmt.Errorf("left behind by daemons:\n%s", out)
		}
	}
}
