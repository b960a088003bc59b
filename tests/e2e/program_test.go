package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// program is the thintree under test.
var program string

var (
	built  = flag.String("program", "", "test a thintree that is built already")
	engine = flag.String("engine", "", "have it read sources by the engine kernel or direct")
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		program = *built
		if program == "" {
			dir, err := os.MkdirTemp("", "thintree-e2e-")
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			defer os.RemoveAll(dir)
			// An ordinary user runs it in some tests.
			if err := os.Chmod(dir, 0o755); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			program = filepath.Join(dir, "thintree")
			if out, err := exec.Command("go", "build", "-o", program, "thintree").CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "building thintree: %v\n%s", err, out)
				return 1
			}
		}
		status := m.Run()
		if *engine == "kernel" {
			if err := nothingLent(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		return status
	}())
}

// result is what a command printed and how it ended.
type result struct {
	stdout, stderr string
	status         int
}

// thintree runs the program to its end.
func thintree(t *testing.T, args ...string) result {
	t.Helper()
	return runCommand(t, command(args...))
}

// command is the program with arguments, and with the tested engine if it is a command that
// reads sources.
func command(args ...string) *exec.Cmd {
	if *engine != "" && slices.Contains([]string{"mount", "ls", "info", "cat", "cp"}, args[0]) {
		args = slices.Insert(args, 1, "--engine", *engine)
	}
	return exec.Command(program, args...)
}

func runCommand(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// must fails the test unless the command succeeded silently.
func (r result) must(t *testing.T) string {
	t.Helper()
	if r.status != 0 || r.stderr != "" {
		t.Fatalf("exit status %d, standard error:\n%s", r.status, r.stderr)
	}
	return r.stdout
}

// sh runs a shell command in a folder and gives what it prints; nothing may go
// to standard error.
func sh(t *testing.T, dir, command string) string {
	t.Helper()
	cmd := exec.Command("bash", "-c", command)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	return runCommand(t, cmd).must(t)
}

// many is how many of something are enough. With -short, as in the guest, which is
// slow, a twentieth are.
func many(count int) int {
	if testing.Short() {
		return count / 20
	}
	return count
}

// mount mounts sources and gives the mountpoint. The last of the arguments are
// the sources. It is unmounted with the test.
func mount(t *testing.T, args ...string) string {
	t.Helper()
	needs(t, fuseDevice)
	if os.Getuid() != 0 {
		needs(t, tool("fusermount3"))
	}
	mnt := t.TempDir()
	r := thintree(t, append(append([]string{"mount", "--log-file", logFile(t)}, args...), mnt)...)
	if r.status != 0 {
		t.Fatalf("mount %v: exit status %d: %s", args, r.status, r.stderr)
	}
	t.Cleanup(func() {
		if mounted(mnt) {
			if r := thintree(t, "umount", "--lazy", mnt); r.status != 0 {
				t.Errorf("umount: %s", r.stderr)
			}
		}
	})
	return mnt
}

// logFile is where a daemon logs. A test that failed shows it.
func logFile(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "log")
	t.Cleanup(func() {
		if text, err := os.ReadFile(path); err == nil && t.Failed() {
			t.Logf("the daemon's log:\n%s", text)
		}
	})
	return path
}

func mounted(mnt string) bool {
	text, err := os.ReadFile("/proc/self/mountinfo")
	return err == nil && strings.Contains(string(text), " "+mnt+" ")
}

// pool is what the tests ask of pools/<pool>.json.
type pool struct {
	Open  int `json:"open_volumes"`
	Opens int `json:"opens_total"`
}

func poolOf(t *testing.T, mnt, name string) pool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(mnt, "pools", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var p pool
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// need is something that a test cannot do without.
type need struct {
	name string
	have func() bool
}

// needs skips the test if something is missing, and says what.
func needs(t *testing.T, all ...need) {
	t.Helper()
	for _, n := range all {
		if !n.have() {
			t.Skipf("needs %s: not here", n.name)
		}
	}
}

var (
	root       = need{"root", func() bool { return os.Getuid() == 0 }}
	fuseDevice = need{"/dev/fuse", func() bool { return syscall.Access("/dev/fuse", 6) == nil }}
	loops      = need{"loop devices", func() bool { return syscall.Access("/dev/loop-control", 6) == nil }}
)

func tool(name string) need {
	return need{name, func() bool { _, err := exec.LookPath(name); return err == nil }}
}
