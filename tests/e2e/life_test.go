package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"thintree/tests/pools"
)

// daemonOf finds the process that serves a mount: the one with its path as the
// last argument.
func daemonOf(t *testing.T, mnt string) int {
	t.Helper()
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range procs {
		text, err := os.ReadFile(p)
		if err != nil {
			continue
		}
		args := strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
		if filepath.Base(args[0]) == "thintree" && args[len(args)-1] == mnt {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(p)))
			return pid
		}
	}
	t.Fatalf("no process serves %s", mnt)
	return 0
}

// eventually waits for something to become true: that takes a few seconds at most,
// but the machine may be slow, and do other things too.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 300 {
		if ok() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("not within 30 s: %s", what)
}

func alive(pid int) bool {
	// A zombie is not alive.
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(text), ") Z ")
}

func TestIdleVolumesAreClosed(t *testing.T) {
	t.Parallel()
	mnt := mount(t, "--idle", "1s", "docker:"+pools.Docker(t))
	sh(t, mnt, "cat containers/ran/etc/* 2>/dev/null; true")
	f, err := os.Open(filepath.Join(mnt, "volumes/3d302c1317c9b31fc7fd0ec33e0b0f09a69c842eab1c139ae7a8cf0fc23d5aa9/id"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	eventually(t, "those without an open handle are closed", func() bool { return poolOf(t, mnt, "pool").Open < 2 })
	time.Sleep(2 * time.Second)
	if p := poolOf(t, mnt, "pool"); p.Open != 1 {
		t.Errorf("%d volumes are open, want the one with an open handle", p.Open)
	}
	f.Close()
	eventually(t, "all are closed, and df is no activity", func() bool {
		sh(t, mnt, "df volumes/base containers/yy1/ >/dev/null")
		return poolOf(t, mnt, "pool").Open == 0
	})
}

func TestTerminationUnmounts(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		for _, open := range []bool{false, true} {
			name := sig.String()
			if open {
				name += " with open files"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				mnt := mount(t, "docker:"+pools.Docker(t))
				pid := daemonOf(t, mnt)
				if open {
					f, err := os.Open(filepath.Join(mnt, "volumes/base/lost+found"))
					if err != nil {
						t.Fatal(err)
					}
					defer f.Close()
				}
				if err := syscall.Kill(pid, sig); err != nil {
					t.Fatal(err)
				}
				eventually(t, "the daemon ends", func() bool { return !alive(pid) })
				if mounted(mnt) {
					t.Error("it is still mounted")
				}
			})
		}
	}
}

func TestWatchdogClearsTheMountOfAKilledDaemon(t *testing.T) {
	t.Parallel()
	for _, open := range []bool{false, true} {
		t.Run(fmt.Sprint("with an open file: ", open), func(t *testing.T) {
			t.Parallel()
			mnt := mount(t, "docker:"+pools.Docker(t))
			pid := daemonOf(t, mnt)
			if open {
				f, err := os.Open(filepath.Join(mnt, "volumes/base/lost+found"))
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the mount is gone", func() bool { return !mounted(mnt) })
		})
	}
}

func TestWatchdogLeavesWhatIsMountedOverTheTree(t *testing.T) {
	t.Parallel()
	needs(t, root)
	mnt := mount(t, "docker:"+pools.Docker(t))
	pid := daemonOf(t, mnt)
	if err := syscall.Mount("none", mnt, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if mounted(mnt) {
			syscall.Unmount(mnt, syscall.MNT_DETACH)
		}
	})
	watchdog := childrenOf(t, pid)[0]
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the watchdog ends", func() bool { return !alive(watchdog) })
	if text := sh(t, "/", "grep -c ' "+mnt+" .* tmpfs ' /proc/self/mountinfo"); text != "1\n" {
		t.Errorf("%s mounts of the tmpfs are there", text)
	}
	if err := syscall.Unmount(mnt, 0); err != nil {
		t.Fatal(err)
	}
	thintree(t, "umount", mnt).must(t)
}

// childrenOf lists the processes that a process has started.
func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for word := range strings.FieldsSeq(string(text)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, child)
		}
	}
	if len(pids) == 0 {
		t.Fatalf("process %d has no child", pid)
	}
	return pids
}

func TestDaemonThatIsKilledWithItsWatchdogIsCleanedUpAfter(t *testing.T) {
	t.Parallel()
	kill := func(t *testing.T) string {
		mnt := mount(t, "docker:"+pools.Docker(t))
		sh(t, mnt, "ls containers/ran/")
		pid := daemonOf(t, mnt)
		for _, victim := range append(childrenOf(t, pid), pid) {
			if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "the daemon ends", func() bool { return !alive(pid) })
		if !mounted(mnt) {
			t.Fatal("the dead mount is gone by itself: this test tests nothing")
		}
		return mnt
	}
	t.Run("by umount", func(t *testing.T) {
		t.Parallel()
		mnt := kill(t)
		thintree(t, "umount", mnt).must(t)
		if mounted(mnt) {
			t.Error("it is still mounted")
		}
	})
	t.Run("by the next mount", func(t *testing.T) {
		t.Parallel()
		mnt := kill(t)
		thintree(t, "mount", "docker:"+pools.Docker(t), mnt).must(t)
		sh(t, mnt, "ls containers/ran/")
		thintree(t, "umount", mnt).must(t)
		if mounted(mnt) {
			t.Error("something is still mounted: mounts were stacked")
		}
	})
	t.Run("by a watchdog that was not told of the mount yet", func(t *testing.T) {
		t.Parallel()
		mnt := kill(t)
		watchdog := exec.Command(program)
		watchdog.Env = append(os.Environ(), "THINTREE_WATCHDOG=1-0 "+mnt)
		runCommand(t, watchdog).must(t)
		if mounted(mnt) {
			t.Error("it is still mounted")
		}
	})
}

func TestForegroundEndsOnCtrlC(t *testing.T) {
	t.Parallel()
	needs(t, fuseDevice)
	mnt := t.TempDir()
	cmd := command("mount", "-f", "docker:"+pools.Docker(t), mnt)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is mounted", func() bool { return mounted(mnt) })
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if mounted(mnt) {
		t.Error("it is still mounted")
	}
}

func TestUnmountOfABusyTreeSaysSo(t *testing.T) {
	t.Parallel()
	mnt := mount(t, "docker:"+pools.Docker(t))
	f, err := os.Open(filepath.Join(mnt, "volumes/base/lost+found"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if r := thintree(t, "umount", mnt); r.status != 1 || !strings.Contains(r.stderr, "--lazy") {
		t.Errorf("exit status %d: %s", r.status, r.stderr)
	}
	thintree(t, "umount", "--lazy", mnt).must(t)
	if mounted(mnt) {
		t.Error("it is still mounted")
	}
}

func TestChangesShowWithoutARemount(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "docker")
	sh(t, "/", "cp -a --sparse=always "+pools.Docker(t)+" "+root)
	mnt := mount(t, "docker:"+root)
	sh(t, mnt, "ls containers/yy1/")
	// Docker renames a container, and removes a tag.
	config := "containers/fcdeda402fdfb642e34203dd503589b631479043251b1fc122fd8d0a506c56ca/config.v2.json"
	sh(t, root, `sed -i 's|"Name":"/yy1"|"Name":"/renamed"|' `+config)
	sh(t, root, `sed -i 's|"web:2"|"web:3"|' image/devicemapper/repositories.json`)
	eventually(t, "the new name shows", func() bool {
		_, err := os.Stat(filepath.Join(mnt, "containers/renamed/etc"))
		_, gone := os.Lstat(filepath.Join(mnt, "containers/yy1"))
		return err == nil && os.IsNotExist(gone)
	})
	eventually(t, "the new tag shows", func() bool {
		_, err := os.Stat(filepath.Join(mnt, "images/web:3/etc"))
		return err == nil
	})
}
