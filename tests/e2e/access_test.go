package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"thintree/tests/loopmount"
	"thintree/tests/pools"
)

// Who the tests are besides root.
const (
	someUser  = 12345
	someGroup = 23456
)

// asUser is a command of an ordinary user.
func asUser(uid, gid uint32, groups []uint32, args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}}
	cmd.Dir = "/"
	return cmd
}

// aclVolume is a pool of one volume with a tree of modes and ACLs, and the folder at
// which the kernel has mounted the same volume.
func aclVolume(t *testing.T) (source []string, kernel string) {
	t.Helper()
	needs(t, tool("setfacl"))
	return filledVolume(t, "acl", `
		chmod 755 .
		for mode in 000 004 040 400 044 444 600 640 644 700 755; do
			echo $mode > file-$mode; chown 1000:2000 file-$mode; chmod $mode file-$mode
			mkdir dir-$mode; echo x > dir-$mode/x; chown 1000:2000 dir-$mode; chmod $mode dir-$mode
		done
		# A group that the mode would let in, and an ACL denies; and the other way about.
		echo a > denied; chown 0:`+fmt.Sprint(someGroup)+` denied; chmod 644 denied; setfacl -m g:`+fmt.Sprint(someGroup)+`:---,o::r denied
		echo b > allowed; chmod 600 allowed; setfacl -m u:`+fmt.Sprint(someUser)+`:r allowed
		echo c > masked; chmod 600 masked; setfacl -m u:`+fmt.Sprint(someUser)+`:rw,m::- masked
		mkdir closed; echo d > closed/d; chmod 755 closed; setfacl -m u:`+fmt.Sprint(someUser)+`:--- closed`)
}

// filledVolume is a pool of one ext4 volume that a shell script has filled, and where
// the kernel has mounted the same volume.
func filledVolume(t *testing.T, name, fill string) (source []string, kernel string) {
	t.Helper()
	needs(t, root, tool("mkfs.ext4"), tool("thin_restore"))
	const mib = 64
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	sh(t, dir, fmt.Sprintf("truncate -s %dM data && mkfs.ext4 -q data && mkdir fs", mib))
	data, fs := filepath.Join(dir, "data"), filepath.Join(dir, "fs")
	loopmount.Mount(t, data, fs)
	t.Cleanup(func() { exec.Command("umount", "-l", fs).Run() })
	sh(t, fs, fill)
	sh(t, dir, "umount fs")
	loopmount.Mount(t, data, fs, "-o", "ro,noload")
	return wholePool(t, dir, mib, name), fs
}

// wholePool makes the metadata of a pool over a folder's file data, of which its one
// volume has all.
func wholePool(t *testing.T, dir string, mib int, volume string) (source []string) {
	t.Helper()
	blocks := mib << 20 / (64 << 10)
	xml := fmt.Sprintf(`<superblock uuid="" time="0" transaction="1" flags="0" version="2" data_block_size="128" nr_data_blocks="%d">
		<device dev_id="1" mapped_blocks="%d" transaction="0" creation_time="0" snap_time="0">
		<range_mapping origin_begin="0" data_begin="0" length="%d" time="0"/></device></superblock>`, blocks, blocks, blocks)
	sh(t, dir, "truncate -s 4M meta && thin_restore -q -i "+writeFile(t, xml)+" -o meta >/dev/null")
	return barePool(t, dir, fmt.Sprintf("1 %d %s\n", mib<<20/512, volume))
}

func TestOthersAreHeldToModesAndACLs(t *testing.T) {
	t.Parallel()
	source, kernel := aclVolume(t)
	mnt := mount(t, append([]string{"--allow-other"}, source...)...)
	open(t, mnt)
	look := func(dir string, uid, gid uint32, groups ...uint32) string {
		r := runCommand(t, asUser(uid, gid, groups, "bash", "-c", `
			cd "$1" || exit
			shopt -s nullglob
			can() { read -r <"$1"; } 2>/dev/null
			for f in *; do
				r=- l=- x=-
				! can "$f" || r=r
				for in in "$f"/*; do
					l=l
					! can "$in" || x=x
				done
				echo "$f $r$l$x"
			done
			getfacl -cp * 2>&1`, "look", dir))
		return r.stdout
	}
	for _, who := range []struct {
		name     string
		uid, gid uint32
		groups   []uint32
	}{
		{"a stranger", 7777, 7777, nil},
		{"the owner", 1000, 7777, nil},
		{"one of the group", 7777, 2000, nil},
		{"one whom the ACLs name", someUser, 7777, nil},
		{"one of the group that an ACL denies", 7777, someGroup, nil},
		{"one of that group among others", 7777, 7777, []uint32{2000, someGroup}},
	} {
		got, want := look(filepath.Join(mnt, "volumes/acl"), who.uid, who.gid, who.groups...), look(kernel, who.uid, who.gid, who.groups...)
		if want == "" || got != want {
			t.Errorf("%s:\nthrough thintree:\n%s\nthrough the kernel:\n%s", who.name, got, want)
		}
		raw := runCommand(t, asUser(who.uid, who.gid, who.groups, "cat", filepath.Join(mnt, "raw/acl.img")))
		if raw.status == 0 {
			t.Errorf("%s can read the whole volume by its raw image", who.name)
		}
	}
}

func TestWithoutAllowOtherOthersSeeNothing(t *testing.T) {
	t.Parallel()
	needs(t, root)
	mnt := mount(t, "docker:"+pools.Docker(t))
	open(t, mnt)
	if r := runCommand(t, asUser(someUser, someGroup, nil, "ls", mnt)); r.status == 0 || r.stdout != "" {
		t.Errorf("another user sees %q", r.stdout)
	}
}

// open lets others reach a folder of the test's.
func open(t *testing.T, path string) {
	t.Helper()
	for dir := filepath.Dir(path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// readable is a copy of the Docker root that any user may read.
func readable(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "docker")
	sh(t, "/", "cp -a --sparse=always "+pools.Docker(t)+" "+dir+" && chmod -R a+rX "+dir)
	open(t, dir)
	open(t, program)
	return dir
}

// openFuse is a FUSE that all may use.
var openFuse = need{"/dev/fuse that all may open", func() bool {
	st, err := os.Stat("/dev/fuse")
	return err == nil && st.Mode().Perm()&0o006 == 0o006
}}

// user runs a command as an ordinary user. It is one with a name: fusermount3 asks for it.
func user(t *testing.T, args ...string) result {
	t.Helper()
	return runCommand(t, asUser(nobody, nogroup, nil, args...))
}

const nobody, nogroup = 65534, 65534

// userMountpoint is a folder of that user's. What is mounted there is unmounted with
// the test.
func userMountpoint(t *testing.T) string {
	t.Helper()
	mnt := t.TempDir()
	open(t, filepath.Join(mnt, "x"))
	if err := os.Chown(mnt, nobody, nogroup); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if mounted(mnt) {
			user(t, "fusermount3", "-u", "-z", mnt)
		}
	})
	return mnt
}

func TestOrdinaryUserMounts(t *testing.T) {
	t.Parallel()
	needs(t, root, tool("fusermount3"), openFuse)
	dir, mnt := readable(t), userMountpoint(t)
	if r := user(t, program, "mount", "docker:"+dir, mnt); r.status != 0 {
		t.Fatalf("mount: %s", r.stderr)
	}
	if r := user(t, "ls", mnt+"/containers/ran/"); !strings.Contains(r.stdout, "etc") {
		t.Errorf("ls: %s%s", r.stdout, r.stderr)
	}
	// Folders that only root may enter are shown to users that may read the pool itself.
	if r := user(t, "ls", mnt+"/volumes/base/lost+found"); r.status != 0 {
		t.Errorf("lost+found: %s", r.stderr)
	}
	user(t, program, "umount", mnt).must(t)
	if mounted(mnt) {
		t.Error("it is still mounted")
	}
}

func TestOrdinaryUserReadsTheSameWithoutAMount(t *testing.T) {
	t.Parallel()
	needs(t, root)
	dir := readable(t)
	mnt := mount(t, "docker:"+dir)
	user := func(args ...string) result { return runCommand(t, asUser(someUser, someGroup, nil, args...)) }
	count := many(40)
	list := sh(t, mnt+"/containers/ran/", fmt.Sprintf("find . -type f -printf '/%%P\\0' | head -z -n %d", count))
	files := strings.Split(strings.TrimSuffix(list, "\x00"), "\x00")
	if len(files) < count {
		t.Fatal("the container has few files")
	}
	for _, f := range files {
		got := user(program, "cat", "docker:"+dir, "container:ran:"+f)
		want, err := os.ReadFile(mnt + "/containers/ran" + f)
		if err != nil || got.status != 0 || got.stdout != string(want) {
			t.Errorf("cat %s: %d bytes, exit status %d %s; want %d bytes", f, len(got.stdout), got.status, got.stderr, len(want))
		}
	}
	got := strings.Fields(user(program, "ls", "docker:"+dir, "container:ran:/").must(t))
	want := strings.Fields(sh(t, mnt+"/containers/ran/", "ls -A"))
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("ls: got %v, want %v", got, want)
	}
	out := filepath.Join(t.TempDir(), "out")
	open(t, out)
	if err := os.Chmod(filepath.Dir(out), 0o777); err != nil {
		t.Fatal(err)
	}
	if r := user(program, "cp", "docker:"+dir, "container:ran:/", out); r.status != 0 {
		t.Fatalf("cp: %s", r.stderr)
	}
	sh(t, "/", "diff -r --no-dereference "+out+" "+mnt+"/containers/ran/")
}
