package guest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"thintree/cli"
)

// asProgram is the environment variable that makes the test binary thintree: the
// guest has nothing to build it with.
const asProgram = "THINTREE_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(cli.Main(os.Args))
	}
	os.Exit(m.Run())
}

// thintree runs the program and returns what it prints.
func thintree(args ...string) ([]byte, error) {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = "thintree"
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("thintree %q: %w: %s", args, err, stderr.String())
	}
	return stdout.Bytes(), nil
}

// mountTree mounts sources, the last of the arguments, until the test ends.
func mountTree(t *testing.T, args ...string) string {
	t.Helper()
	mnt, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
	if _, err := thintree(append(append([]string{"mount", "--log-file", log}, args...), mnt)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := thintree("umount", "--lazy", mnt); err != nil {
			t.Error(err)
		}
		if text, err := os.ReadFile(log); err == nil && t.Failed() {
			t.Logf("the daemon's log:\n%s", text)
		}
	})
	return mnt
}

// poolIs fails unless the tree says of its pool that it is so: "live" or "offline".
func poolIs(mnt, mode string) error {
	text, err := os.ReadFile(filepath.Join(mnt, "pools/pool.json"))
	if err != nil {
		return err
	}
	var p struct {
		Mode string `json:"mode"`
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	if p.Mode != mode {
		return fmt.Errorf("the pool is %s, not %s", p.Mode, mode)
	}
	return nil
}

// within waits until something holds, as what changes shows in a tree after a
// moment.
func within(t *testing.T, limit time.Duration, what string, holds func() error) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		err := holds()
		if err == nil {
			return
		}
		if time.Since(begin) > limit {
			t.Fatalf("not within %v: %s: %v", limit, what, err)
		}
	}
}

// seconds is how long it may take until the tree shows what has changed: a second
// or two, but the guest is slow, and shares the machine with others.
const seconds = 30 * time.Second

// listed fails unless the pool's ids in a tree are those that are always there,
// and others only from above on.
func listed(mnt string, always []int, above int) error {
	entries, err := os.ReadDir(filepath.Join(mnt, "by-id/pool"))
	if err != nil {
		return err
	}
	found := 0
	for _, e := range entries {
		var id int
		if _, err := fmt.Sscan(e.Name(), &id); err != nil {
			return fmt.Errorf("by-id has %q: %w", e.Name(), err)
		}
		switch {
		case slices.Contains(always, id):
			found++
		case id < above:
			return fmt.Errorf("by-id has device %d, which never was", id)
		}
	}
	if found != len(always) {
		return fmt.Errorf("by-id has %d of the %d devices that are always there: %v", found, len(always), entries)
	}
	return nil
}

// isShown reports whether a tree has a device.
func isShown(mnt string, id int) bool {
	_, err := os.Stat(fmt.Sprintf("%s/by-id/pool/%d", mnt, id))
	return err == nil
}

// fileText is what a file of a volume holds after a round of writing.
func fileText(volume, file, round int) string {
	return strings.Repeat(fmt.Sprintf("volume %d, file %d, round %d\n", volume, file, round), 3000+500*file)
}

const filesOfVolume = 6

// writeFiles writes all files of a mounted volume anew.
func writeFiles(t *testing.T, dir string, volume, round int) {
	t.Helper()
	for file := range filesOfVolume {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("file-", file)), []byte(fileText(volume, file, round)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sh(t, "sync -f "+dir)
}

// holdsRound fails unless a folder has the files of a round, and no others.
func holdsRound(dir string, volume, round int) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) != filesOfVolume+1 { // and lost+found
		return fmt.Errorf("%s has %v", dir, entries)
	}
	for file := range filesOfVolume {
		got, err := os.ReadFile(filepath.Join(dir, fmt.Sprint("file-", file)))
		if err != nil {
			return err
		}
		if string(got) != fileText(volume, file, round) {
			return fmt.Errorf("%s: file %d is not that of round %d: %d bytes, %.40q", dir, file, round, len(got), got)
		}
	}
	return nil
}
