package extract

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/tests/loopmount"
	"thintree/volfs"
)

// oldExt4 is a filesystem that holds little: inodes of 128 bytes, with times until
// 2038, and blocks of 1024 bytes, with attributes of less together.
func oldExt4(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: a mount")
	}
	if _, err := exec.LookPath("mke2fs"); err != nil {
		t.Skipf("needs mke2fs: %v", err)
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skipf("needs loop devices: %v", err)
	}
	image, mnt := filepath.Join(t.TempDir(), "image"), t.TempDir()
	mke2fs := exec.Command("mke2fs", "-q", "-F", "-t", "ext4", "-I", "128", "-b", "1024", image, "16M")
	if out, err := mke2fs.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", mke2fs, err, out)
	}
	loopmount.Mount(t, image, mnt)
	t.Cleanup(func() {
		if err := unix.Unmount(mnt, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return mnt
}

// bare is a filesystem without extended attributes.
func bare(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "ramfs", 0, ""); err != nil {
		t.Skipf("needs root: a mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func copyLogged(t *testing.T, s fake, dest string) (Result, string) {
	t.Helper()
	var log logged
	r, err := copyFrom(t.Context(), s, 1, dest, Options{Name: "copy", Log: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	return r, log.String()
}

func TestLossesOfTheDestinationAreLogged(t *testing.T) {
	t.Parallel()
	old := oldExt4(t)
	big := file("x")
	big.xattrs = map[string]string{"user.big": strings.Repeat("x", 20_000), "user.small": "1"}
	late, early, link := file("x"), file("x"), symlink("nowhere")
	late.attr.Mtime, early.attr.Mtime = volfs.Time{Sec: 1 << 33}, volfs.Time{Sec: -1 << 33}
	link.attr.Mtime = volfs.Time{Sec: 1 << 33}
	long := file("x")
	s := fake{
		1: folderOf(fakeEntry{"big", 2}, fakeEntry{"late", 3}, fakeEntry{"early", 4}, fakeEntry{"link", 5}, fakeEntry{strings.Repeat("n", 256), 6}),
		2: big, 3: late, 4: early, 5: link, 6: long,
	}
	r, log := copyLogged(t, s, old)
	if want := (Result{Unreadable: 1, NotHeld: Losses{Xattrs: 1, Times: 3}}); r != want {
		t.Errorf("%+v, want %+v", r, want)
	}
	for _, says := range []string{
		"extended attribute user.big of 20000 bytes", "copy/big", "time of modification 2242-", "copy/late", "it became 2038-", "copy/link", "file name too long",
	} {
		if !strings.Contains(log, says) {
			t.Errorf("the log does not say %q:\n%s", says, log)
		}
	}
	if got := xattr(t, old+"/copy/big", "user.small"); got != "1" {
		t.Errorf("user.small is %q", got)
	}
}

func TestAllLossesAreCountedAndTheFirstAreLogged(t *testing.T) {
	t.Parallel()
	dest := bare(t)
	s := fake{1: folderOf()}
	for id := range 100 {
		f := file("x")
		f.xattrs = map[string]string{"user.a": "1", accessACL: acl, "trusted.b": "2"}
		n := fmt.Sprintf("f%03d", id)
		s[1].entries = append(s[1].entries, fakeEntry{n, 2})
		s[2] = f
	}
	r, log := copyLogged(t, s, dest)
	if want := (Result{NotHeld: Losses{Xattrs: 300}}); r != want {
		t.Errorf("%+v, want %+v", r, want)
	}
	if got := strings.Count(log, "cannot hold it"); got != maxLogged {
		t.Errorf("%d of them are logged", got)
	}
	if got := r.NotHeld.String(); got != "300 extended attributes" {
		t.Errorf("the text is %q", got)
	}
}

// Root has the permission, so the destination is the reason.
func TestRefusalToRootCountsAsNotHeld(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 || !capabilities().Has(unix.CAP_CHOWN) {
		t.Skip("needs root")
	}
	var c copier
	c.log = (&logged{}).logger()
	for _, l := range []loss{{count: owners, by: unix.CAP_CHOWN, where: &destPath{}}, {count: symlinks, by: none, where: &destPath{}}} {
		c.lose(l, syscall.EPERM)
	}
	if want := (Result{NotHeld: Losses{Owners: 1, Symlinks: 1}}); c.result != want {
		t.Errorf("%+v, want %+v", c.result, want)
	}
}
