package e2e

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"thintree/tests/pools"
)

// largeFile is a file in the container "ran" that is longer than what the kernel
// reads ahead.
func largeFile(t *testing.T, mnt string) string {
	t.Helper()
	path, _, _ := strings.Cut(sh(t, mnt, "find containers/ran/ -xdev -type f -size +300k"), "\n")
	if path == "" {
		t.Fatal("there is no large file")
	}
	return filepath.Join(mnt, path)
}

func TestUnmountedVolumeIsClosedAtOnce(t *testing.T) {
	t.Parallel()
	mnt := mount(t, "docker:"+pools.Docker(t))
	large := largeFile(t, mnt)
	volume := strings.TrimPrefix(strings.TrimSpace(sh(t, mnt, "readlink containers/ran")), "../")
	for _, name := range []string{"container:ran", "containers/ran", volume, filepath.Join(mnt, volume), filepath.Base(filepath.Dir(volume))} {
		f, err := os.Open(large)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		before := poolOf(t, mnt, "pool")
		if before.Open != 1 {
			t.Fatalf("%d volumes are open", before.Open)
		}
		thintree(t, "umount", "--volume", name, mnt).must(t)
		if after := poolOf(t, mnt, "pool"); after.Open != 0 || after.Opens != before.Opens {
			t.Errorf("%s: %d volumes are open, %d were opened for it", name, after.Open, after.Opens-before.Opens)
		}
	}
	if !mounted(mnt) {
		t.Error("the tree is not mounted any more")
	}
}

func TestUnmountOfAClosedVolumeOpensNothing(t *testing.T) {
	t.Parallel()
	mnt := mount(t, "docker:"+pools.Docker(t))
	thintree(t, "umount", "--volume", "container:ran", mnt).must(t)
	if p := poolOf(t, mnt, "pool"); p.Opens != 0 {
		t.Errorf("%d volumes were opened", p.Opens)
	}
}

func TestOpenFileOfAnUnmountedVolumeFailsAndANewOneDoesNot(t *testing.T) {
	t.Parallel()
	mnt := mount(t, "docker:"+pools.Docker(t))
	path := largeFile(t, mnt)
	// Past the page cache, which may hold it.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECT, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, 4096)
	if _, err := io.ReadFull(f, buf); err != nil {
		t.Fatal(err)
	}
	thintree(t, "umount", "--volume", "container:ran", mnt).must(t)
	if n, err := f.ReadAt(buf, 0); n != 0 || err == nil || !strings.Contains(err.Error(), syscall.ESTALE.Error()) {
		t.Errorf("%d bytes are read, %v", n, err)
	}
	opens := poolOf(t, mnt, "pool").Opens
	if _, err := os.ReadFile(path); err != nil {
		t.Errorf("opened anew: %v", err)
	}
	if p := poolOf(t, mnt, "pool"); p.Opens != opens+1 {
		t.Errorf("the volume was opened %d times", p.Opens-opens)
	}
}

func TestOnlyTheUserWhoMountedUnmountsAVolume(t *testing.T) {
	t.Parallel()
	needs(t, root)
	mnt := mount(t, "--allow-other", "docker:"+pools.Docker(t))
	open(t, mnt)
	open(t, program)
	sh(t, mnt, "ls containers/ran/")
	r := runCommand(t, asUser(someUser, someGroup, nil, program, "umount", "--volume", "container:ran", mnt))
	if r.status != 1 || !strings.Contains(r.stderr, "only they and root") {
		t.Errorf("exit status %d: %s", r.status, r.stderr)
	}
	if p := poolOf(t, mnt, "pool"); p.Open != 1 {
		t.Errorf("%d volumes are open", p.Open)
	}
}

func TestUnmountOfNoVolumeSaysSo(t *testing.T) {
	t.Parallel()
	mnt := mount(t, "docker:"+pools.Docker(t))
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"--volume", "nothing", mnt}, 1, `"nothing": no such volume`},
		{[]string{"--volume", "volumes", mnt}, 1, "no such volume"},
		{[]string{"--volume", strings.Repeat("x", 5000), mnt}, 1, "no such volume"},
		{[]string{"--volume", "", mnt}, 2, "--volume"},
		{[]string{"--volume", "base", t.TempDir()}, 1, "no thintree is mounted here"},
	} {
		r := thintree(t, append([]string{"umount"}, c.args...)...)
		if r.status != c.status || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, c.says) {
			t.Errorf("%.40q: exit status %d: %.300s", c.args, r.status, r.stderr)
		}
	}
}

func TestOrdinaryUserUnmountsAVolumeOfTheirTree(t *testing.T) {
	t.Parallel()
	needs(t, root, tool("fusermount3"), fuseDevice)
	if st, err := os.Stat("/dev/fuse"); err != nil || st.Mode().Perm()&0o006 != 0o006 {
		t.Skip("needs /dev/fuse that all may open: its mode is narrower here")
	}
	dir, mnt := readable(t), t.TempDir()
	open(t, filepath.Join(mnt, "x"))
	// fusermount3 wants a user with a name.
	const nobody, nogroup = 65534, 65534
	if err := os.Chown(mnt, nobody, nogroup); err != nil {
		t.Fatal(err)
	}
	user := func(args ...string) result { return runCommand(t, asUser(nobody, nogroup, nil, args...)) }
	if r := user(program, "mount", "docker:"+dir, mnt); r.status != 0 {
		t.Fatalf("mount: %s", r.stderr)
	}
	t.Cleanup(func() { user("fusermount3", "-u", "-z", mnt) })
	user("ls", mnt+"/containers/ran/").must(t)
	// The kernel keeps also root out of it.
	if r := thintree(t, "umount", "--volume", "container:ran", mnt); r.status != 1 || !strings.Contains(r.stderr, "as the user who mounted it") {
		t.Errorf("root: exit status %d: %s", r.status, r.stderr)
	}
	user(program, "umount", "--volume", "container:ran", mnt).must(t)
	if text := user("cat", mnt+"/pools/pool.json").must(t); !strings.Contains(text, `"open_volumes": 0`) {
		t.Errorf("after it: %s", text)
	}
}
