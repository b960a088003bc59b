package fusefs

import (
	"os"
	"strings"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"thintree/fusefs/tree"
)

func TestOnlyRootAndTheMounterMayUnmountAVolume(t *testing.T) {
	t.Parallel()
	stranger := uint32(os.Geteuid() + 1)
	for name, c := range map[string]struct {
		in   fuse.IoctlIn
		size int
		want fuse.Status
	}{
		"another user":     {fuse.IoctlIn{InHeader: headerOf(tree.RootID, stranger), Cmd: unmountVolume}, requestBytes, fuse.EPERM},
		"another ioctl":    {fuse.IoctlIn{InHeader: headerOf(tree.RootID, 0), Cmd: unmountVolume + 1}, requestBytes, fuse.Status(unix.ENOTTY)},
		"another folder":   {fuse.IoctlIn{InHeader: headerOf(7, 0), Cmd: unmountVolume}, requestBytes, fuse.Status(unix.ENOTTY)},
		"another argument": {fuse.IoctlIn{InHeader: headerOf(tree.RootID, 0), Cmd: unmountVolume}, 12, fuse.EINVAL},
	} {
		got := (&server{}).Ioctl(nil, &c.in, make([]byte, c.size), nil, make([]byte, c.size))
		if got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func headerOf(node tree.NodeID, uid uint32) fuse.InHeader {
	return fuse.InHeader{NodeId: uint64(node), Caller: fuse.Caller{Owner: fuse.Owner{Uid: uid}}}
}

func TestUnmountRequestKeepsItsText(t *testing.T) {
	t.Parallel()
	var r unmountRequest
	for _, text := range []string{"", "volumes/name", strings.Repeat("x", requestBytes-2)} {
		r.put(lazily, text)
		if flag, got := r.get(); flag != lazily || got != text {
			t.Errorf("%.20q: %d, %.20q", text, flag, got)
		}
	}
	r.put(0, strings.Repeat("x", 2*requestBytes))
	if _, got := r.get(); len(got) != requestBytes-2 {
		t.Errorf("a text that is too long is cut to %d bytes", len(got))
	}
}
