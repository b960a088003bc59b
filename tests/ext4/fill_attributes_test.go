package ext4

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func (f *filler) devices() {
	dir := f.mkdir("devices")
	f.must(unix.Mknod(dir+"/fifo", unix.S_IFIFO|0o640, 0))
	f.must(unix.Mknod(dir+"/socket", unix.S_IFSOCK|0o777, 0))
	for _, n := range [][2]uint32{{0, 0}, {1, 3}, {8, 255}, {8, 256}, {255, 255}, {256, 0}, {259, 65536}, {4095, 1<<20 - 1}} {
		device := int(unix.Mkdev(n[0], n[1]))
		f.must(unix.Mknod(fmt.Sprintf("%s/char %d:%d", dir, n[0], n[1]), unix.S_IFCHR|0o600, device))
		f.must(unix.Mknod(fmt.Sprintf("%s/block %d:%d", dir, n[0], n[1]), unix.S_IFBLK|0o660, device))
	}
}

func (f *filler) owners() {
	dir := f.mkdir("owners")
	for _, id := range []int{1, 1000, 65534, 65535, 65536, 1 << 20, 1<<32 - 2} {
		path := fmt.Sprintf("%s/%d", dir, id)
		f.write(path, nil)
		f.must(os.Lchown(path, id, 1<<32-1-id))
	}
	for _, mode := range []uint32{0, 0o111, 0o644, 0o777, 0o1777, 0o2755, 0o4755, 0o7777} {
		path := fmt.Sprintf("%s/mode %04o", dir, mode)
		f.write(path, nil)
		f.must(unix.Chmod(path, mode))
		f.must(os.Mkdir(path+" folder", 0o755))
		f.must(unix.Chmod(path+" folder", mode))
	}
}

func (f *filler) xattrs() {
	dir := f.mkdir("xattrs")
	file := func(name string) string {
		f.write(dir+"/"+name, []byte(name))
		return dir + "/" + name
	}
	set := func(path, name string, value []byte) bool {
		return f.optional(unix.Lsetxattr(path, name, value, 0), xattrKind(name, value))
	}
	kinds := file("kinds")
	for _, name := range []string{"user.a", "user.", "trusted.b", "security.c", "security.capability", "user.with space, and = \"quote\"", "user.\xff"} {
		if name == "user." {
			continue // EINVAL by the kernel's own check
		}
		value := []byte("value of " + name)
		if name == "security.capability" {
			value = []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // VFS_CAP_REVISION_2
		}
		set(kinds, name, value)
	}
	set(file("empty value"), "user.empty", nil)
	set(file("long name"), "user."+strings.Repeat("n", 250), []byte("x"))
	many := file("many")
	for i := range 120 {
		if !set(many, fmt.Sprintf("user.number %d", i), []byte(fmt.Sprint(i))) {
			break
		}
	}
	for _, size := range []int64{30, 60, 100, 200, f.blockSize / 2, f.blockSize - 100, f.blockSize, 2 * f.blockSize, 50_000, 65_536} {
		path := file(fmt.Sprintf("value of %d", size))
		set(path, "user.big", f.bytes(size))
		set(path, "user.small beside it", []byte("s"))
	}
	shared := f.bytes(500)
	for i := range 5 { // one block for all of them
		set(file(fmt.Sprintf("shared %d", i)), "user.shared", shared)
	}
	replaced := file("replaced")
	set(replaced, "user.r", f.bytes(300))
	set(replaced, "user.r", f.bytes(20))
	f.must(os.Symlink("target", dir+"/link"))
	set(dir+"/link", "trusted.link", []byte("l"))
	f.must(unix.Mknod(dir+"/fifo", unix.S_IFIFO|0o600, 0))
	set(dir+"/fifo", "trusted.fifo", []byte("f"))
	f.must(os.Mkdir(dir+"/folder", 0o755))
	set(dir+"/folder", "user.folder", []byte("d"))
	f.acls(dir, file)
}

func xattrKind(name string, value []byte) string {
	switch {
	case strings.HasPrefix(name, "user.number"):
		return "120 xattrs"
	case len(name) > 200:
		return "xattr name of 255 bytes"
	case name == "user.big" || name == "user.shared":
		return fmt.Sprintf("xattr of %d bytes", len(value))
	}
	return "xattr " + name
}

// acls are set in the form of linux/posix_acl_xattr.h: version 2, then entries
// of tag, permissions and id.
func (f *filler) acls(dir string, file func(string) string) {
	type entry struct {
		Tag, Perm uint16
		ID        uint32
	}
	const none = 1<<32 - 1
	acl := func(named ...entry) []byte {
		var b bytes.Buffer
		binary.Write(&b, binary.LittleEndian, uint32(2))
		binary.Write(&b, binary.LittleEndian, entry{0x01, 7, none}) // the owner
		binary.Write(&b, binary.LittleEndian, named)
		return b.Bytes()
	}
	rest := []entry{{0x04, 5, none}, {0x10, 5, none}, {0x20, 1, none}} // group, mask, others
	small := acl(append([]entry{{0x02, 6, 1000}}, rest...)...)
	large := acl(entry{0x02, 0, 1}, entry{0x02, 7, 70000}, rest[0], entry{0x08, 4, 5}, entry{0x08, 0, 1<<32 - 2}, rest[1], rest[2])

	set := func(path, name string, value []byte) {
		f.optional(unix.Lsetxattr(path, name, value, 0), name)
	}
	set(file("acl"), "system.posix_acl_access", small)
	set(file("large acl"), "system.posix_acl_access", large)
	folder := f.mkdir("xattrs/acl folder")
	set(folder, "system.posix_acl_default", small)
	set(folder, "system.posix_acl_access", large)
	f.write(folder+"/inherits", nil)
	f.must(os.Mkdir(folder+"/inherits too", 0o777))
}

// The flags that statx(2) shows, as FS_IOC_SETFLAGS takes them.
const (
	immutable  = 0x10
	appendOnly = 0x20
	nodump     = 0x40
)

// flags sets what chattr(1) does.
func (f *filler) flags() {
	dir := f.mkdir("flags")
	for _, c := range []struct {
		name string
		flag int
	}{
		{"immutable", immutable}, {"append", appendOnly}, {"both", immutable | appendOnly},
		{"nodump", nodump}, {"sync", 0x8}, {"noatime", 0x80},
	} {
		name, flag := c.name, c.flag
		for _, path := range []string{dir + "/" + name, dir + "/" + name + " folder"} {
			if strings.HasSuffix(path, "folder") {
				f.must(os.Mkdir(path, 0o755))
			} else {
				f.write(path, []byte(name))
			}
			file, err := os.Open(path)
			f.must(err)
			flags, err := unix.IoctlGetInt(int(file.Fd()), unix.FS_IOC_GETFLAGS)
			f.must(err)
			f.must(unix.IoctlSetPointerInt(int(file.Fd()), unix.FS_IOC_SETFLAGS, flags|flag))
			f.must(file.Close())
		}
	}
}

// times are around what 32 bits hold, with and without the inode's extra bits.
func (f *filler) times() {
	dir := f.mkdir("times")
	for _, sec := range []int64{
		-1 << 40, -1 << 31, -1<<31 + 1, -1_000_000_000, -1, 0, 1, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 3<<31 - 1, 3 << 31,
		13_569_465_600, 3<<32 + 1<<31 - 1, 3<<32 + 1<<31, 1 << 40,
	} {
		for _, nsec := range []int64{0, 1, 999_999_999} {
			path := fmt.Sprintf("%s/%d.%d", dir, sec, nsec)
			f.write(path, nil)
			f.must(unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{{Sec: sec - 1, Nsec: nsec}, {Sec: sec, Nsec: nsec}}, 0))
		}
	}
	f.must(os.Symlink("x", dir+"/link"))
	f.must(unix.UtimesNanoAt(unix.AT_FDCWD, dir+"/link", []unix.Timespec{{Sec: -5, Nsec: 6}, {Sec: -7, Nsec: 8}}, unix.AT_SYMLINK_NOFOLLOW))
	f.must(unix.UtimesNanoAt(unix.AT_FDCWD, dir, []unix.Timespec{{Sec: -5, Nsec: 6}, {Sec: 1 << 33, Nsec: 8}}, 0))
}
