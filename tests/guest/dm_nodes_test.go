package guest

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/thin/dm"
)

// dmThere reports whether a device has its node, and its link.
func dmThere(t *testing.T, name string, number uint64) (node, link bool) {
	t.Helper()
	is := func(path string) bool {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return false
		}
		if err := unix.Stat(path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK || st.Rdev != number {
			t.Errorf("%s leads elsewhere: %v", path, err)
		}
		return true
	}
	return is(dm.NodePath(number)), is(dm.LinkPath(name))
}

func dmWant(t *testing.T, when, name string, number uint64, node, link bool) {
	t.Helper()
	if n, l := dmThere(t, name, number); n != node || l != link {
		t.Errorf("%s: the node of %s is there: %v, its link: %v", when, name, n, l)
	}
}

func dmNodes(t *testing.T, c *dm.Client) {
	ctx := t.Context()
	dmLife(t, c, ctx)

	// What an earlier device has left does not stand in the way.
	for _, left := range []func(string) error{
		func(path string) error { return os.Symlink("../dm-77", path) },
		func(path string) error { return unix.Mknod(path, unix.S_IFBLK|0o600, int(unix.Mkdev(7, 0))) },
	} {
		if err := left(dm.LinkPath("a")); err != nil {
			t.Fatal(err)
		}
		dmLife(t, c, ctx)
	}

	// One whose removal is deferred leaves no link to nowhere.
	info := dmActivate(t, c, "a", dm.Public, "0 8 error")
	f, err := dmOpen(ctx, c, "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if gone, err := c.DeactivateLater(ctx, "a", dm.Public); gone || err != nil {
		t.Errorf("gone: %v, %v", gone, err)
	}
	dmWant(t, "deferred", "a", info.Number, true, false)
}

// dmLife is a device's, with its node and link.
func dmLife(t *testing.T, c *dm.Client, ctx context.Context) {
	t.Helper()
	hidden, err := c.Activate(ctx, dm.Spec{Name: "hidden", Table: dmTable(t, "0 8 error"), Udev: dm.Hidden})
	if err != nil {
		t.Fatal(err)
	}
	dmWant(t, "hidden", "hidden", hidden.Number, true, false)
	public, err := c.Activate(ctx, dm.Spec{Name: "a", Table: dmTable(t, "0 8 error"), Udev: dm.Public})
	if err != nil {
		t.Fatal(err)
	}
	dmWant(t, "public", "a", public.Number, true, true)
	named, err := c.Activate(ctx, dm.Spec{Name: "named", Table: dmTable(t, "0 8 error"), Udev: dm.Named})
	if err != nil {
		t.Fatal(err)
	}
	dmWant(t, "named", "named", named.Number, true, true)
	if err := c.Link("hidden", hidden.Number); err != nil {
		t.Error(err)
	}
	dmWant(t, "linked", "hidden", hidden.Number, true, true)
	if err := c.Rename(ctx, "a", "b", dm.Public); err != nil {
		t.Error(err)
	}
	dmWant(t, "renamed", "b", public.Number, true, true)
	dmWant(t, "renamed", "a", public.Number, true, false)
	for name, number := range map[string]uint64{"hidden": hidden.Number, "named": named.Number, "b": public.Number} {
		if err := c.Deactivate(ctx, name, dm.Hidden); err != nil {
			t.Error(err)
		}
		dmWant(t, "deactivated", name, number, false, false)
	}
}

func dmOtherNode(t *testing.T, c *dm.Client) {
	sh(t, "dmsetup create a --table '0 8 error'")
	info, err := c.Info(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	dmWant(t, "made by dmsetup", "a", info.Number, true, true)
	if err := c.Deactivate(t.Context(), "a", dm.Public); err != nil {
		t.Error(err)
	}
	dmWant(t, "deactivated", "a", info.Number, false, false)
}

// dmBareDev runs where neither devtmpfs nor udev makes nodes, as in a container.
func dmBareDev(t *testing.T, _ *dm.Client) {
	runtime.LockOSThread() // which ends with the test, and with it the namespace
	for _, step := range []func() error{
		func() error { return unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS) },
		func() error { return unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		func() error { return unix.Mount("tmpfs", "/dev", "tmpfs", 0, "") },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	c, err := dm.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dmLife(t, c, t.Context())

	// A node of another number is not taken for the device's.
	if err := unix.Mknod("/dev/dm-0", unix.S_IFBLK|0o600, int(unix.Mkdev(7, 0))); err != nil {
		t.Fatal(err)
	}
	dmLife(t, c, t.Context())
	left, err := fs.Glob(os.DirFS("/dev"), "*")
	if err != nil || strings.Join(left, " ") != "mapper" {
		t.Errorf("left in /dev: %q, %v", left, err)
	}
}

// dmUdev plays udev: it hears the kernel's events and answers them by what udev's
// rules run.
func dmUdev(t *testing.T, c *dm.Client) {
	const socket = "/run/udev/control"
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(socket)
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	const kernelEvents = 1
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelEvents}); err != nil {
		t.Fatal(err)
	}
	second := unix.NsecToTimeval(1e9)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &second); err != nil {
		t.Fatal(err)
	}
	const devices = 3
	answered := make(chan []string, 1)
	go func() {
		var cookies []string
		buf := make([]byte, 1<<16)
		for {
			n, err := unix.Read(fd, buf)
			if err != nil {
				answered <- cookies // there are no more
				return
			}
			for line := range strings.SplitSeq(string(buf[:n]), "\x00") {
				if cookie, ok := strings.CutPrefix(line, "DM_COOKIE="); ok {
					cookies = append(cookies, cookie)
					cmd := exec.Command("dmsetup", "udevcomplete", cookie)
					cmd.Env = []string{"PATH=" + os.Getenv("PATH")} // without DM_DISABLE_UDEV
					if out, err := cmd.CombinedOutput(); err != nil {
						t.Errorf("dmsetup udevcomplete: %v\n%s", err, out)
					}
				}
			}
		}
	}()
	for i := range devices {
		name, kind := fmt.Sprint("a", i), dm.Public
		if i == 0 {
			kind = dm.Named
		}
		if _, err := c.Activate(t.Context(), dm.Spec{Name: name, Table: dmTable(t, "0 8 error"), Udev: kind}); err != nil {
			t.Fatal(err)
		}
		if err := c.Deactivate(t.Context(), name, dm.Public); err != nil {
			t.Fatal(err)
		}
	}
	got := <-answered
	if len(got) != 2*devices {
		t.Fatalf("cookies: %q", got)
	}
	// The flags for udev's rules are in the upper half: only the first device, as it
	// comes, is not to be looked into.
	const rules = (0x02 | 0x04 | 0x08) << 16
	for i, text := range got {
		cookie, err := strconv.ParseUint(text, 10, 32)
		if hidden := cookie&rules == rules; err != nil || hidden != (i == 0) {
			t.Errorf("event %d has the cookie %s: hidden %v, %v", i, text, hidden, err)
		}
	}
	if left := sh(t, "cat /proc/sysvipc/sem"); strings.Count(left, "\n") != 1 {
		t.Errorf("semaphores are left:\n%s", left)
	}
}
