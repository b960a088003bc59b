package extract

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// acl is an ACL in the form of getxattr(2): rwx for the owner, r-x for user 1234, r-- for
// the group, r-x as mask, --- for others.
const acl = "\x02\x00\x00\x00" +
	"\x01\x00\x07\x00\xff\xff\xff\xff" +
	"\x02\x00\x05\x00\xd2\x04\x00\x00" +
	"\x04\x00\x04\x00\xff\xff\xff\xff" +
	"\x10\x00\x05\x00\xff\xff\xff\xff" +
	"\x20\x00\x00\x00\xff\xff\xff\xff"

// netRaw is the capability cap_net_raw=ep, as security.capability has it.
const netRaw = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// everything returns files of every kind, with attributes that only root can set.
func everything() fake {
	s := fake{
		1: folderOf(fakeEntry{"file", 2}, fakeEntry{"link", 3}, fakeEntry{"fifo", 4}, fakeEntry{"socket", 5}, fakeEntry{"char", 6}, fakeEntry{"block", 7}, fakeEntry{"dir", 8}),
		2: file("x"),
		3: symlink("nowhere"),
		4: special(syscall.S_IFIFO|0o604, 0),
		5: special(syscall.S_IFSOCK|0o777, 0),
		6: special(syscall.S_IFCHR|0o606, unix.Mkdev(10, 229)),
		7: special(syscall.S_IFBLK|0o660, unix.Mkdev(259, 70000)),
		8: folderOf(fakeEntry{"in", 9}),
		9: file("in"),
	}
	s[2].attr.Mode = syscall.S_IFREG | 0o6755
	s[2].xattrs = map[string]string{"user.a": "1", "user.empty": "", "trusted.b": "2", "security.capability": netRaw, accessACL: acl}
	s[8].attr.Mode = syscall.S_IFDIR | 0o3570
	s[8].xattrs = map[string]string{defaultACL: acl, "user.d": "3"}
	for _, n := range s {
		n.attr.UID, n.attr.GID = 1001, 2002
		n.attr.Mtime = volfs.Time{Sec: -5, Nsec: 1}
	}
	return s
}

func wantAttrs(t *testing.T, path string, a volfs.Attr) {
	t.Helper()
	st := lstat(t, path)
	if st.Mode != a.Mode || st.Uid != a.UID || st.Gid != a.GID || st.Rdev != a.Rdev {
		t.Errorf("%s: mode %#o, owner %d:%d, device %#x", path, st.Mode, st.Uid, st.Gid, st.Rdev)
	}
	if m := st.Mtim; m.Sec != a.Mtime.Sec || m.Nsec != int64(a.Mtime.Nsec) {
		t.Errorf("%s: modified at %v", path, m)
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return // this test itself may have changed the access time of a link or folder
	}
	if m := st.Atim; m.Sec != a.Atime.Sec || m.Nsec != int64(a.Atime.Nsec) {
		t.Errorf("%s: accessed at %v", path, m)
	}
}

func xattr(t *testing.T, path, name string) string {
	t.Helper()
	buf := make([]byte, 1024)
	n, err := unix.Lgetxattr(path, name, buf)
	if err != nil {
		t.Errorf("%s: %s: %v", path, name, err)
		return ""
	}
	return string(buf[:n])
}

func TestAttributesAreKept(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: owners and devices")
	}
	dir := t.TempDir()
	s := everything()
	if r := extractAll(t, s, dir); r != (Result{}) {
		t.Fatalf("left out: %+v", r)
	}
	wantAttrs(t, dir+"/copy", s[1].attr)
	for _, e := range append(s[1].entries, fakeEntry{"dir/in", 9}) {
		n := s[e.id]
		if e.name == "file" {
			// The ACL is part of the mode: it takes away the permissions of others.
			n.attr.Mode = syscall.S_IFREG | 0o6750
		}
		wantAttrs(t, dir+"/copy/"+e.name, n.attr)
		for name, want := range n.xattrs {
			if got := xattr(t, dir+"/copy/"+e.name, name); got != want {
				t.Errorf("%s: %s is %q", e.name, name, got)
			}
		}
	}
	if got, _ := os.Readlink(dir + "/copy/link"); got != "nowhere" {
		t.Errorf("the link's target is %q", got)
	}
}

func TestXattrsOfALink(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: trusted attributes")
	}
	dest := t.TempDir() + "/l"
	l := symlink("x")
	l.xattrs = map[string]string{"trusted.a": "1"}
	extractAll(t, fake{1: l}, dest)
	if got := xattr(t, dest, "trusted.a"); got != "1" {
		t.Errorf("trusted.a is %q", got)
	}
}

func TestACLsOfDestAreNotInherited(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Setxattr(dir, defaultACL, []byte(acl), 0); err != nil {
		t.Skipf("needs a filesystem with ACLs: %v", err)
	}
	extractAll(t, fake{1: folderOf(fakeEntry{"f", 2}, fakeEntry{"d", 3}), 2: file("x"), 3: folderOf(fakeEntry{"f", 2})}, dir)
	extractAll(t, fake{1: file("x")}, dir+"/single")
	for _, path := range []string{"copy", "copy/f", "copy/d", "copy/d/f", "single"} {
		for _, name := range []string{accessACL, defaultACL} {
			if n, err := unix.Lgetxattr(dir+"/"+path, name, nil); err == nil {
				t.Errorf("%s has %s of %d bytes", path, name, n)
			}
		}
	}
}

// asOrdinaryUser runs the calling test again as an ordinary user, if this process is
// root's. It reports whether it did.
func asOrdinaryUser(t *testing.T) bool {
	if os.Geteuid() != 0 {
		return false
	}
	dir, err := os.MkdirTemp("", "extract")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	const nobody = 65534
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir = "/"
	cmd.Env = []string{"TMPDIR=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("as an ordinary user: %v\n%s", err, out)
	}
	return true
}

func TestOrdinaryUserKeepsPermittedAttributes(t *testing.T) {
	t.Parallel()
	if asOrdinaryUser(t) {
		return
	}
	dir := t.TempDir()
	s := everything()
	r := extractAll(t, s, dir)
	// The folder of mode 3570 keeps only its sticky bit.
	want := Result{NotPermitted: Losses{Owners: 7, SetIDs: 2, Xattrs: 2, Nodes: 2}}
	if r != want {
		t.Errorf("%+v instead of %+v", r, want)
	}
	if got, want := r.NotPermitted.String(), "7 owners, 2 set-user-ID or set-group-ID bits, 2 extended attributes, 2 devices, fifos and sockets"; got != want {
		t.Errorf("the text is %q", got)
	}
	for name, mode := range map[string]uint32{"file": syscall.S_IFREG | 0o750, "dir": syscall.S_IFDIR | 0o1570, "dir/in": syscall.S_IFREG | 0o644} {
		a := s[1].attr
		a.Mode, a.UID, a.GID = mode, uint32(os.Geteuid()), uint32(os.Getegid())
		wantAttrs(t, dir+"/copy/"+name, a)
	}
	if got := xattr(t, dir+"/copy/file", "user.a"); got != "1" {
		t.Errorf("user.a is %q", got)
	}
	if err := os.Chmod(dir+"/copy/dir", 0o700); err != nil { // so that it can be removed
		t.Error(err)
	}
}

func TestOrdinaryUserCopiesFilesWithoutWritePermission(t *testing.T) {
	t.Parallel()
	if asOrdinaryUser(t) {
		return
	}
	dir := t.TempDir()
	f, locked := file("x"), folderOf(fakeEntry{"f", 2})
	f.attr.Mode, f.attr.Nlink = syscall.S_IFREG|0o400, 2
	f.xattrs = map[string]string{"user.a": "1"}
	locked.attr.Mode = syscall.S_IFDIR
	s := fake{1: folderOf(fakeEntry{"locked", 3}, fakeEntry{"g", 2}), 2: f, 3: locked}
	// The second name cannot be a link: the folder of the first is locked by now.
	if r := extractAll(t, s, dir); r != (Result{NotPermitted: Losses{HardLinks: 1}}) {
		t.Errorf("%+v", r)
	}
	wantAttrs(t, dir+"/copy/locked", locked.attr)
	if err := os.Chmod(dir+"/copy/locked", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"locked/f", "g"} {
		wantAttrs(t, dir+"/copy/"+name, f.attr)
		if got := xattr(t, dir+"/copy/"+name, "user.a"); got != "1" {
			t.Errorf("user.a is %q", got)
		}
	}
}

func TestOrdinaryUserGetsNoSetUserIDFileOfRoot(t *testing.T) {
	t.Parallel()
	if asOrdinaryUser(t) {
		return
	}
	dest := t.TempDir() + "/su"
	f := file("x")
	f.attr.Mode, f.attr.UID = syscall.S_IFREG|0o6755, 0
	if r := extractAll(t, fake{1: f}, dest); r != (Result{NotPermitted: Losses{Owners: 1, SetIDs: 1}}) {
		t.Errorf("%+v", r)
	}
	// The group is the user's own, so its bit stays.
	if m := lstat(t, dest).Mode; m != syscall.S_IFREG|0o2755 {
		t.Errorf("mode %#o", m)
	}
}
