package ext4

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// needKernel skips the test if it cannot mount.
func needKernel(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: mounts ext4")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skip("needs root: loop devices: ", err)
	}
}

// run runs a program of e2fsprogs, and skips the test if it is missing.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	return runStatus(t, 0, program, args...)
}

// runStatus is run for a program that may exit with up to maxStatus.
func runStatus(t *testing.T, maxStatus int, program string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + program); err != nil {
			t.Skipf("needs %s: %v", program, err)
		}
	}
	cmd := exec.Command(path, args...)
	out, err := cmd.CombinedOutput()
	if err != nil && (cmd.ProcessState == nil || !cmd.ProcessState.Exited() || cmd.ProcessState.ExitCode() > maxStatus) {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
	return string(out)
}

// debugfs runs one command of debugfs(8) that writes to an image. debugfs prints
// errors below a line with its version, and exits with 0.
func debugfs(t *testing.T, image, command string) {
	t.Helper()
	if out := run(t, "debugfs", "-w", "-R", command, image); strings.Count(out, "\n") > 1 {
		t.Fatalf("debugfs %q: %s", command, out)
	}
}

// newImage makes an empty filesystem of size bytes in a file of the test's own.
func newImage(t *testing.T, size int64, mke2fs ...string) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	run(t, "mke2fs", append(append([]string{"-q", "-F"}, mke2fs...), image)...)
	return image
}

// copyImage copies an image as it lies, with its holes.
func copyImage(t *testing.T, image string) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy")
	run(t, "cp", "--sparse=always", image, copied)
	return copied
}
