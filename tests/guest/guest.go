package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"thintree/tests/guest/job"
)

const (
	kernel  = "linux.uml"
	modules = "/usr/lib/uml/modules/*"
	memory  = "1G"

	// testLimit ends a guest whose boot or only test hangs. On a machine with much to do
	// the longest test takes two minutes.
	testLimit = 8 * time.Minute

	// suiteLimit ends a guest that runs the tests of a whole package.
	suiteLimit = 30 * time.Minute
)

// Run runs the body of a test in a guest. It is to be all that the test
// function does. The test is skipped if a guest cannot be had.
func Run(t *testing.T, body func(*testing.T)) {
	t.Helper()
	if os.Getenv(job.Inside) != "" {
		body(t)
		return
	}
	output, status := rerun(t, testLimit, nil, "-test.v=test2json", "-test.run", pattern(t.Name()))
	end(t, t.Name(), output, status)
}

// Suite runs the tests of the package in a guest, all but those that arguments as
// -test.skip leave out, and takes over the result of each as a subtest. They run
// with -test.short, and their temporary files lie on a disk.
func Suite(t *testing.T, args ...string) {
	t.Helper()
	output, status := rerun(t, suiteLimit, []string{"bash", "-ec", onDisk}, append([]string{"-test.v=test2json", "-test.short"}, args...)...)
	end(t, "", output, status)
}

// onDisk runs a program with its temporary files on a disk, which has O_DIRECT: the
// guest's memory has not.
const onDisk = `
disk=${0%/*}/disk TMPDIR=$TMPDIR/disk
truncate -s 4G "$disk"
mkfs.ext4 -q -E nodiscard -O ^has_journal "$disk"
mkdir "$TMPDIR"
mount -o loop "$disk" "$TMPDIR"
chmod 1777 "$TMPDIR"
exec "$0" "$@"`

// end ends a test as the test of a name did in the guest, or as all of them did if the
// name is "".
func end(t *testing.T, name, output string, status int) {
	t.Helper()
	all, err := results(output)
	if err != nil {
		t.Fatal(err)
	}
	r := all[name]
	if r == nil || name == "" && len(r.subtests) == 0 {
		t.Fatalf("in the guest no test was run:\n%s", output)
	}
	r.takeOver(t)
	if status != 0 && !t.Failed() {
		t.Errorf("in the guest: exit status %d\n%s", status, output)
	}
}

// Bench runs the body of a benchmark once in a guest. It is to be all that the
// function does.
func Bench(b *testing.B, body func(*testing.B)) {
	b.Helper()
	if os.Getenv(job.Inside) != "" {
		body(b)
		return
	}
	// Not by b.Log, which keeps ten lines.
	output, status := rerun(b, suiteLimit, nil, "-test.v", "-test.run", "^$", "-test.bench", pattern(b.Name()), "-test.benchtime", "1x")
	fmt.Println(output)
	if status != 0 {
		b.Fatalf("in the guest: exit status %d", status)
	}
}

// rerun runs the test binary in a guest, by a command that is given it and its
// arguments or by itself, and gives what it prints and its exit status. A binary that
// runs longer than the limit prints what its goroutines do, and fails.
func rerun(t testing.TB, limit time.Duration, command []string, args ...string) (output string, status int) {
	t.Helper()
	dir := t.TempDir()
	prepare(t, dir, limit, command, args)
	done := turn(t)
	console, err := boot(t, dir, limit)
	done()
	output, status, statusErr := job.Result(dir)
	if statusErr != nil {
		t.Fatalf("the guest has not ended the test: %v\n%s\nits console:\n%s", errors.Join(err, statusErr), output, console)
	}
	return output, status
}

// prepare puts all that a guest needs in a folder.
func prepare(t testing.TB, dir string, limit time.Duration, command, args []string) {
	t.Helper()
	for _, program := range []string{kernel, "modprobe"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s: %v", program, err)
		}
	}
	found, err := filepath.Glob(modules)
	if err != nil || len(found) != 1 {
		t.Skipf("needs %s: one kernel's modules at %s, not %d", kernel, modules, len(found))
	}
	lib := filepath.Join(dir, "lib/modules")
	if err := os.MkdirAll(lib, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(found[0], filepath.Join(lib, filepath.Base(found[0]))); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "test")
	for path, program := range map[string]func() ([]byte, error){filepath.Join(dir, "init"): initProgram, binary: testProgram} {
		text, err := program()
		if err == nil {
			err = os.WriteFile(path, text, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	err = job.Job{
		Args: slices.Concat(command, []string{binary, "-test.timeout", limit.String()}, args),
		Dir:  cwd,
		Path: os.Getenv("PATH") + ":/usr/sbin:/sbin",
	}.Write(dir)
	if err != nil {
		t.Fatal(err)
	}
}

// The programs that run in guests: its init, and the tests of the package in whose folder
// this process runs. They are built once, and kept in memory: which test is the last to boot a
// guest, and could remove a file, is not known.
var (
	initProgram = sync.OnceValues(func() ([]byte, error) { return build("thintree/tests/guest/init", "build") })
	testProgram = sync.OnceValues(func() ([]byte, error) { return build(".", "test", "-c") })
)

// build builds a package by go and its arguments.
func build(pkg string, args ...string) (program []byte, err error) {
	dir, err := os.MkdirTemp("", "guest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "program")
	cmd := exec.Command("go", append(args, "-o", path, pkg)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return os.ReadFile(path)
}

// pattern is what -test.run matches one test by.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

// boot runs the guest to its end and gives what its console said.
func boot(t testing.TB, dir string, limit time.Duration) (console string, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), limit+2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, kernel,
		"mem="+memory, "rootfstype=hostfs", "rw", "root=/dev/root", "rootflags=/",
		"init="+filepath.Join(dir, "init"), "uml_dir="+dir+"/",
		"con=null", "con0=fd:0,fd:1", "quiet")
	// Its processes are processes of this machine: they end together.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if cmd.Process != nil {
		cmd.Cancel() // some may be left when the guest has powered off
	}
	return out.String(), err
}
