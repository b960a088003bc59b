package e2e

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"thintree/tests/pools"
)

// byMount mounts by mount(8) what a line of fstab with some options says, in a mount
// namespace of its own, in which the program is installed; and runs a shell script
// there, in the mountpoint.
func byMount(t *testing.T, options, script string) result {
	t.Helper()
	needs(t, root, fuseDevice, tool("mount.fuse3"))
	if *engine != "" {
		options += ",engine=" + *engine
	}
	mnt := t.TempDir()
	fstab := writeFile(t, "docker:"+pools.Docker(t)+" "+mnt+" fuse.thintree "+options+" 0 0\n")
	return runCommand(t, exec.Command("unshare", "--mount", "bash", "-c", `
		mount --bind "$1" /usr/local/bin || exit
		mount -T "$2" "$3" || exit
		trap 'umount "$3"' EXIT
		(cd "$3" && eval "$4")`, "bash", filepath.Dir(program), fstab, mnt, script))
}

func TestOptionsOfMountAreTakenAsTheyMean(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		options string
		has     []string // among the options that the kernel shows
	}{
		{"ro", nil},
		{"rw,noauto,nofail,_netdev,x-systemd.automount,x-systemd.idle-timeout=60,comment=x", nil},
		{"user", []string{"noexec"}},
		{"users,exec", nil},
		{"noexec", []string{"noexec"}},
		{"nosymfollow", []string{"nosymfollow"}},
		{"default_permissions", []string{"default_permissions"}},
		{"allow_other", []string{"allow_other", "default_permissions"}},
		{"max_read=65536", []string{"max_read=65536"}},
		{"subtype=other,auto_unmount", nil},
		{"sync,dirsync,iversion,lazytime,strictatime,noatime,nodiratime,nomand,loud", nil},
	} {
		t.Run(c.options, func(t *testing.T) {
			t.Parallel()
			line := strings.Fields(byMount(t, c.options, `grep -F " $PWD " /proc/self/mountinfo`).must(t))
			if len(line) != 10 || line[7] != "fuse.thintree" {
				t.Fatalf("mountinfo has %q", line)
			}
			all := slices.Concat(strings.Split(line[5], ","), strings.Split(line[9], ","))
			for _, o := range append(c.has, "ro", "nosuid", "nodev") {
				if !slices.Contains(all, o) {
					t.Errorf("%s is missing: %q", o, all)
				}
			}
			for _, o := range []string{"noexec", "nosymfollow", "default_permissions", "allow_other"} {
				if slices.Contains(all, o) && !slices.Contains(c.has, o) {
					t.Errorf("%s is there: %q", o, all)
				}
			}
		})
	}
}

func TestFsnameIsWhatDfShows(t *testing.T) {
	t.Parallel()
	if got := byMount(t, `fsname=an\040attic`, `df --output=source . | tail -1`).must(t); got != "an attic\n" {
		t.Errorf("df shows %q", got)
	}
}

func TestLinksAreNotFollowedWithNosymfollow(t *testing.T) {
	t.Parallel()
	got := byMount(t, "nosymfollow", `readlink containers/ran >/dev/null && ls volumes/base >/dev/null && LC_ALL=C ls containers/ran/`)
	if got.status == 0 || !strings.Contains(got.stderr, "Too many levels of symbolic links") {
		t.Errorf("exit status %d: %s", got.status, got.stderr)
	}
}

func TestOptionsThatCannotBeKeptAreRefused(t *testing.T) {
	t.Parallel()
	for _, o := range []string{"frobnicate", "allow_root", "remount", "uid=1000", "gid=1000", "umask=077", "blkdev", "mand", "max_read=much", "fsname="} {
		t.Run(o, func(t *testing.T) {
			t.Parallel()
			r := byMount(t, o, "true")
			if r.status == 0 || !strings.HasPrefix(r.stderr, "thintree: ") || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, o) {
				t.Errorf("exit status %d: %s", r.status, r.stderr)
			}
		})
	}
}

// TestUserIsHeldToModesIfTheyWant mounts as an ordinary user.
func TestUserIsHeldToModesIfTheyWant(t *testing.T) {
	t.Parallel()
	needs(t, root, tool("fusermount3"), openFuse)
	dir, mnt := readable(t), userMountpoint(t)
	user(t, program, "mount", "-o", `default_permissions,max_read=8192,fsname=a\,b`, "docker:"+dir, mnt).must(t)
	if r := user(t, "ls", mnt+"/volumes/base/lost+found"); r.status == 0 {
		t.Error("a folder that only root may enter is shown")
	}
	line := sh(t, "/", "grep -F ' "+mnt+" ' /proc/self/mountinfo")
	if !strings.Contains(line, ",max_read=8192") || !strings.Contains(line, " a,b ") {
		t.Errorf("mountinfo has %s", line)
	}
	if got, want := user(t, "cat", mnt+"/containers/ran/bin/busybox"), thintree(t, "cat", "docker:"+dir, "container:ran:/bin/busybox"); got.stdout != want.stdout || got.status != 0 {
		t.Errorf("a file that is read in pieces differs: %s", got.stderr)
	}
	// fusermount3 3.14 cannot, later ones may.
	mnt = userMountpoint(t)
	if r := user(t, program, "mount", "-o", "nosymfollow", "docker:"+dir, mnt); r.status == 0 && !strings.Contains(sh(t, "/", "grep -F ' "+mnt+" ' /proc/self/mountinfo"), "nosymfollow") {
		t.Error("nosymfollow is ignored")
	}
}
