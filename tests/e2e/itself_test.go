package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"thintree/tests/pools"
)

// longest is how long anything in these tests may take that asks a tree.
const longest = 15 * time.Second

// inTime runs a shell command, and fails if it takes longer than it may. What it
// waits for is then freed when the test ends.
func inTime(t *testing.T, dir, command string) string {
	t.Helper()
	text, _ := begin(t, shell(dir, command))()
	return text
}

// mountInTime mounts sources, by their arguments and last the mountpoint.
func mountInTime(t *testing.T, args ...string) (text string, status int) {
	t.Helper()
	return begin(t, command(append([]string{"mount", "--engine", "direct"}, args...)...))()
}

func shell(dir, command string) *exec.Cmd {
	cmd := exec.Command("bash", "-c", command)
	cmd.Dir = dir
	return cmd
}

// begin begins a command. wait waits for its end, and returns what it printed and its
// exit status.
func begin(t *testing.T, cmd *exec.Cmd) (wait func() (text string, status int)) {
	t.Helper()
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		cmd.Wait()
		close(done)
	}()
	return func() (string, int) {
		t.Helper()
		select {
		case <-done:
		case <-time.After(longest):
			cmd.Process.Kill()
			t.Fatalf("%v: it hangs", cmd.Args)
		}
		text, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text), cmd.ProcessState.ExitCode()
	}
}

// freed unmounts all trees below a folder when the test ends, and frees the processes that
// wait for one.
func freed(t *testing.T, dir string) {
	t.Helper()
	t.Cleanup(func() {
		for range 20 { // also what is mounted over another
			lines := strings.Split(sh(t, "/", "tac /proc/self/mountinfo | grep -F ' "+dir+"/' || true"), "\n")
			if lines[0] == "" {
				return
			}
			for _, line := range lines {
				var id, parent, major, minor int
				var root, where string
				if n, _ := fmt.Sscanf(line, "%d %d %d:%d %s %s", &id, &parent, &major, &minor, &root, &where); n != 6 {
					continue
				}
				if t.Failed() && strings.Contains(line, "fuse.thintree") {
					abort(t, minor)
				}
				if err := unix.Unmount(where, unix.MNT_DETACH); err != nil && err != unix.EINVAL {
					t.Errorf("%s: %v", where, err)
				}
			}
		}
	})
}

// abort frees the processes that wait for the FUSE mount of a minor device number.
func abort(t *testing.T, minor int) {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "fusectl", 0, ""); err != nil {
		t.Error(err)
		return
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	if err := os.WriteFile(fmt.Sprintf("%s/%d/abort", dir, minor), []byte("1"), 0); err != nil {
		t.Error(err)
	}
}

// mountAt mounts sources at a folder.
func mountAt(t *testing.T, mnt string, args ...string) (log string) {
	t.Helper()
	log = logFile(t)
	text, status := mountInTime(t, append(append([]string{"--log-file", log}, args...), mnt)...)
	if status != 0 {
		t.Fatalf("mount %v: exit status %d: %s", args, status, text)
	}
	return log
}

// look looks around in a tree, also when it looks at its sources anew.
func look(t *testing.T, mnt string) {
	t.Helper()
	inTime(t, "/", "ls "+mnt)
	time.Sleep(1200 * time.Millisecond)
	inTime(t, "/", "ls -l "+mnt+"/containers "+mnt+"/volumes; cat "+mnt+"/containers/ran/app/built.txt "+mnt+"/pools/*")
}

func TestTreeIsNotMountedOverWhatItIsMadeOf(t *testing.T) {
	t.Parallel()
	needs(t, root, fuseDevice)
	above, docker := dockerCopy(t, "above/docker")
	freed(t, above)
	sh(t, above, `mkdir -p bound inner log names && ln -s above/docker link && ln -s ../above/docker/containers names/link &&
		mount --bind above/docker bound && mount --bind above/docker/containers inner && touch names/file`)
	t.Cleanup(func() {
		for _, dir := range []string{"bound", "inner"} {
			unix.Unmount(filepath.Join(above, dir), unix.MNT_DETACH)
		}
	})
	halves := docker + "/devicemapper/devicemapper/metadata," + docker + "/devicemapper/devicemapper/data"
	for name, args := range map[string][]string{
		"over the root":               {"docker:" + docker, docker},
		"in the root":                 {"docker:" + docker, docker + "/containers"},
		"deep in the root":            {"docker:" + docker, docker + "/image/devicemapper/layerdb"},
		"above the root":              {"docker:" + docker, above + "/above"},
		"by a bind mount":             {"docker:" + docker, above + "/bound"},
		"by a bind mount of a part":   {"docker:" + docker, above + "/inner"},
		"from a bind mount":           {"docker:" + above + "/bound", docker},
		"by a link":                   {"docker:" + docker, above + "/link"},
		"by a link into it":           {"docker:" + docker, above + "/names/link"},
		"a link to the root":          {"docker:" + above + "/link", docker},
		"over the way of a link":      {"docker:" + above + "/link", above + "/above"},
		"over the store":              {"store:" + docker + "/devicemapper", docker + "/devicemapper"},
		"over the records":            {"store:" + docker + "/devicemapper", docker + "/devicemapper/metadata"},
		"over a bare pool":            {"pool:" + halves, docker + "/devicemapper/devicemapper"},
		"over the pool of --pool":     {"--pool", halves, "docker:" + pools.Docker(t), docker + "/devicemapper/devicemapper"},
		"over the names":              {"--names", above + "/names/file", "pool:" + halves, above + "/names"},
		"over the log":                {"--log-file", above + "/log/file", "docker:" + docker, above + "/log"},
		"over the second source":      {"docker:" + pools.Docker(t), "docker:" + docker, docker},
		"over all":                    {"docker:" + docker, "/"},
		"over the devices":            {"docker:" + docker, "/dev"},
		"over the system's processes": {"docker:" + docker, "/proc"},
	} {
		t.Run(name, func(t *testing.T) {
			text, status := mountInTime(t, args...)
			if status != 1 || strings.Count(text, "\n") != 1 || !strings.Contains(text, "mount it on a folder elsewhere") {
				t.Fatalf("exit status %d: %s", status, text)
			}
		})
	}
}

// What is mounted later nobody can refuse: what was known stays, and the log says
// why.
func TestTreeDoesNotWaitForItself(t *testing.T) {
	t.Parallel()
	needs(t, root, fuseDevice)
	const ofContainer = "containers/fcdeda402fdfb642e34203dd503589b631479043251b1fc122fd8d0a506c56ca"
	for part, ways := range map[string][]string{
		"": {"bind", "move", "second tree", "through a link"}, "..": {"bind", "second tree"}, "containers": {"bind", "second tree"},
		ofContainer: {"bind"}, "devicemapper/metadata": {"bind"}, "devicemapper/devicemapper": {"bind"}, "image/devicemapper/imagedb/content/sha256": {"bind"},
	} {
		for _, how := range ways {
			t.Run(how+" over "+part, func(t *testing.T) {
				t.Parallel()
				dir, docker := dockerCopy(t, "above/docker")
				freed(t, dir)
				mnt := filepath.Join(dir, "mnt")
				sh(t, dir, "mkdir mnt; ln -s above/docker link")
				source, over := docker, filepath.Join(docker, part)
				if how == "through a link" {
					source = filepath.Join(dir, "link")
				}
				log := mountAt(t, mnt, "docker:"+source)
				look(t, mnt)
				switch how {
				case "move":
					inTime(t, dir, "mount --bind "+mnt+" "+over+" && umount "+mnt)
				case "second tree":
					mountAt(t, over, "docker:"+pools.Docker(t))
				default:
					inTime(t, dir, "mount --bind "+mnt+" "+over)
				}
				seen := mnt
				if how == "move" {
					seen = over
				}
				look(t, seen)
				if how != "second tree" || part != ".." {
					if got := inTime(t, "/", "ls "+seen+"/containers"); !strings.Contains(got, "ran") {
						t.Errorf("what was known is gone: %s", got)
					}
				}
				if text := sh(t, "/", "grep -c 'a thintree mount now covers these files' "+log+" || true"); text != "1\n" {
					t.Errorf("the log complains %s times", text)
				}
				if how == "move" {
					inTime(t, "/", program+" umount "+over)
				} else {
					inTime(t, "/", "umount "+over)
					look(t, mnt)
					inTime(t, "/", program+" umount "+mnt)
				}
				if mounted(seen) {
					t.Error("it is still mounted")
				}
			})
		}
	}
}

func TestTwoTreesOverEachOthersSources(t *testing.T) {
	t.Parallel()
	needs(t, root, fuseDevice)
	dir, one := dockerCopy(t, "one")
	freed(t, dir)
	two := filepath.Join(dir, "two")
	sh(t, dir, "cp -a --sparse=always one two; mkdir way; mount --bind two way")
	mountAt(t, two, "docker:"+one)
	mountAt(t, one, "docker:"+dir+"/way")
	for range 3 {
		waits := []func() (string, int){
			begin(t, shell(one, "ls -lR containers volumes")), begin(t, shell(two, "ls -lR containers volumes")),
		}
		for _, wait := range waits {
			if text, _ := wait(); !strings.Contains(text, "ran") {
				t.Error("what was known is gone")
			}
		}
		time.Sleep(1200 * time.Millisecond)
	}
	inTime(t, "/", program+" umount "+one+" && "+program+" umount "+two+" && umount "+dir+"/way")
}

// Where a tree that was mounted before shows files, they are a source like others.
func TestSourceInAnOlderTree(t *testing.T) {
	t.Parallel()
	needs(t, root, fuseDevice)
	dir := t.TempDir()
	freed(t, dir)
	sh(t, dir, "mkdir outer inner")
	mountAt(t, dir+"/outer", "docker:"+pools.Docker(t))
	pool := pools.Docker(t) + "/devicemapper/devicemapper/"
	// An empty file names nothing.
	log := mountAt(t, dir+"/inner", "--names", dir+"/outer/containers/ran/.dockerenv", "pool:"+pool+"metadata,"+pool+"data")
	for range 3 {
		if got := inTime(t, dir, "ls inner/volumes/@1"); !strings.Contains(got, "lost+found") {
			t.Error(got)
		}
		time.Sleep(1200 * time.Millisecond)
	}
	if text := sh(t, "/", "grep -c level=WARN "+log+" || true"); text != "0\n" {
		t.Errorf("the log has %s warnings", text)
	}
	inTime(t, "/", program+" umount "+dir+"/inner && "+program+" umount "+dir+"/outer")
}

func TestLoopDeviceOverAnImageInTheTree(t *testing.T) {
	t.Parallel()
	needs(t, root, fuseDevice, loops, tool("losetup"))
	dir, docker := dockerCopy(t, "docker")
	freed(t, dir)
	mnt := filepath.Join(dir, "mnt")
	sh(t, dir, "mkdir mnt")
	mountAt(t, mnt, "docker:"+docker)
	device := strings.TrimSpace(inTime(t, "/", "losetup --show -rf "+mnt+"/raw/base.img"))
	if !strings.HasPrefix(device, "/dev/loop") {
		t.Fatalf("losetup: %s", device)
	}
	detached := false
	detach := func() {
		if !detached {
			inTime(t, "/", "losetup -d "+device)
		}
		detached = true
	}
	t.Cleanup(detach)
	look(t, mnt)
	// A stopped daemon answers nobody. A process that asks the loop device would wait for it.
	pid := daemonOf(t, mnt)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(pid, syscall.SIGCONT)
	if got := inTime(t, "/", program+" ls docker:"+pools.Docker(t)); !strings.Contains(got, "base") {
		t.Errorf("ls: %s", got)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	detach()
	inTime(t, "/", program+" umount "+mnt)
}

// hanging is a file of a filesystem that stops to answer.
type hanging struct {
	fs.MemRegularFile
	silent   chan struct{} // closed when it is to stop
	released chan struct{}
}

func (h *hanging) Getattr(ctx context.Context, f fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	select {
	case <-h.silent:
		<-h.released
		return syscall.EIO
	default:
		return h.MemRegularFile.Getattr(ctx, f, out)
	}
}

// hangingNames is a file of names on a filesystem that stops to answer on demand,
// until the test ends.
func hangingNames(t *testing.T) (path string, stop func()) {
	t.Helper()
	dir := t.TempDir()
	h := &hanging{silent: make(chan struct{}), released: make(chan struct{})}
	h.Data = []byte("1 2097152 first\n")
	h.Attr.Mode = 0o444
	top := &fs.Inode{}
	none := time.Duration(0)
	server, err := fs.Mount(dir, top, &fs.Options{
		EntryTimeout: &none, AttrTimeout: &none, MountOptions: fuse.MountOptions{DirectMountStrict: true, Name: "hanging"},
		OnAdd: func(ctx context.Context) {
			top.AddChild("names", top.NewPersistentInode(ctx, h, fs.StableAttr{}), false)
		},
	})
	if err != nil {
		t.Skipf("needs FUSE: %v", err)
	}
	release := sync.OnceFunc(func() { close(h.released) })
	t.Cleanup(func() {
		release()
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
		server.Wait()
	})
	return dir + "/names", sync.OnceFunc(func() { close(h.silent) })
}

// wchan is by what the watchdog sees that a thread waits for a FUSE filesystem.
var wchan = need{"/proc/PID/wchan, as kernels with stack traces have", func() bool {
	cmd := exec.Command("sleep", "10")
	if cmd.Start() != nil {
		return false
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	time.Sleep(200 * time.Millisecond)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", cmd.Process.Pid))
	return err == nil && strings.Contains(string(text), "nanosleep")
}}

// A daemon that waits for a disk that does not answer cannot end. The processes that wait
// for it must be freed all the same when it is told to end.
func TestCallersOfAHungTreeAreFreed(t *testing.T) {
	t.Parallel()
	needs(t, root, fuseDevice)
	for name, end := range map[string]func(t *testing.T, pid int, mnt string){
		"by SIGKILL": func(t *testing.T, pid int, _ string) { syscall.Kill(pid, syscall.SIGKILL) },
		"by SIGTERM": func(t *testing.T, pid int, _ string) { syscall.Kill(pid, syscall.SIGTERM) },
		"by a lazy unmount": func(t *testing.T, _ int, mnt string) {
			if out := inTime(t, "/", program+" umount --lazy "+mnt); out != "" {
				t.Errorf("umount --lazy: %s", out)
			}
		},
		"by another umount": func(t *testing.T, _ int, mnt string) { inTime(t, "/", "umount --lazy "+mnt) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if strings.Contains(name, "unmount") || strings.Contains(name, "umount") {
				needs(t, wchan)
			}
			dir, docker := dockerCopy(t, "docker")
			freed(t, dir)
			mnt := filepath.Join(dir, "mnt")
			sh(t, dir, "mkdir mnt")
			names, stop := hangingNames(t)
			mountAt(t, mnt, "--names", names, "pool:"+docker+"/devicemapper/devicemapper/metadata,"+docker+"/devicemapper/devicemapper/data")
			inTime(t, "/", "ls "+mnt+"/volumes")
			pid := daemonOf(t, mnt)
			stop()
			time.Sleep(1200 * time.Millisecond)
			wait := begin(t, shell("/", "ls "+mnt+"/volumes/first"))
			time.Sleep(2 * time.Second)
			end(t, pid, mnt)
			wait()
			eventually(t, "the mount is gone", func() bool { return !mounted(mnt) })
		})
	}
}

// A daemon that is stopped, as by a debugger, is not taken for one that hangs.
func TestStoppedDaemonIsLeftAlone(t *testing.T) {
	t.Parallel()
	needs(t, root, fuseDevice)
	dir, docker := dockerCopy(t, "docker")
	freed(t, dir)
	mnt := filepath.Join(dir, "mnt")
	sh(t, dir, "mkdir mnt")
	mountAt(t, mnt, "docker:"+docker)
	look(t, mnt)
	pid := daemonOf(t, mnt)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	wait := begin(t, shell("/", "ls "+mnt+"/containers/ran/"))
	time.Sleep(8 * time.Second)
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got, _ := wait(); !strings.Contains(got, "etc") {
		t.Errorf("after it went on: %s", got)
	}
	// It can be unmounted, and the process that waits is freed.
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(pid, syscall.SIGCONT)
	wait = begin(t, shell("/", "cat "+mnt+"/containers/ran/etc/passwd "+mnt+"/pools/pool.json"))
	time.Sleep(time.Second)
	inTime(t, "/", program+" umount --lazy "+mnt)
	wait()
	if mounted(mnt) {
		t.Error("it is still mounted")
	}
}
