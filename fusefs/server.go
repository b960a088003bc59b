package fusefs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"thintree/fusefs/tree"
	"thintree/thin/wait"
	"thintree/volfs"
)

// These are how long the kernel may cache an answer.
const (
	moment  = time.Second
	forEver = 10 * 365 * 24 * time.Hour
)

func lifetime(kept bool) time.Duration {
	if kept {
		return forEver
	}
	return moment
}

// server answers the kernel's requests.
type server struct {
	fuse.RawFileSystem
	tree  *tree.Tree
	log   *slog.Logger
	files handles
	// passthrough is nil until Init.
	passthrough *passthrough
	// buffers are *buffer.
	buffers sync.Pool
	// noOpenDir is whether the kernel can do without OPENDIR.
	noOpenDir bool
}

// Init is called with the first request.
func (s *server) Init(fs *fuse.Server) {
	s.noOpenDir = fs.KernelSettings().Flags64()&fuse.CAP_NO_OPENDIR_SUPPORT != 0
	s.passthrough = newPassthrough(fs, s.log)
}

// String is the type's name: the mount table shows it as fuse.thintree.
func (s *server) String() string { return "thintree" }

func (s *server) Lookup(cancel <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	node, name := tree.NodeID(in.NodeId), strings.Clone(name)
	e, err := await(s, in, cancel, func(ctx context.Context) (tree.Entry, error) { return s.tree.Lookup(ctx, node, name) })
	var missing *tree.MissingError
	if errors.As(err, &missing) {
		// A node id of 0 says that the name does not exist. The kernel may cache that.
		*out = fuse.EntryOut{}
		out.SetEntryTimeout(lifetime(missing.Kept))
		return fuse.OK
	}
	if err != nil {
		return s.status("lookup", err)
	}
	fillEntry(&e, out)
	return fuse.OK
}

func (s *server) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	e, err := s.stat(&in.InHeader, cancel)
	if err != nil {
		return s.status("getattr", err)
	}
	fillAttr(&e.Attr, &out.Attr)
	out.SetTimeout(lifetime(e.AttrKept))
	return fuse.OK
}

func (s *server) stat(h *fuse.InHeader, cancel <-chan struct{}) (tree.Entry, error) {
	node := tree.NodeID(h.NodeId)
	return await(s, h, cancel, func(ctx context.Context) (tree.Entry, error) { return s.tree.Stat(ctx, node) })
}

// Statx is GetAttr with the time at which a file was created.
func (s *server) Statx(cancel <-chan struct{}, in *fuse.StatxIn, out *fuse.StatxOut) fuse.Status {
	e, err := s.stat(&in.InHeader, cancel)
	if err != nil {
		return s.status("statx", err)
	}
	fillStatx(&e.Attr, &out.Statx)
	out.SetTimeout(lifetime(e.AttrKept))
	return fuse.OK
}

func (s *server) Readlink(cancel <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	node := tree.NodeID(in.NodeId)
	target, err := await(s, in, cancel, func(ctx context.Context) (string, error) { return s.tree.Readlink(ctx, node) })
	if err != nil {
		return nil, s.status("readlink", err)
	}
	return []byte(target), fuse.OK
}

func (s *server) GetXAttr(cancel <-chan struct{}, in *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	node, name := tree.NodeID(in.NodeId), strings.Clone(name)
	value, err := await(s, in, cancel, func(ctx context.Context) ([]byte, error) { return s.tree.Xattr(ctx, node, name) })
	if err != nil {
		return 0, s.status("getxattr", err)
	}
	return fits(value, dest)
}

func (s *server) ListXAttr(cancel <-chan struct{}, in *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	node := tree.NodeID(in.NodeId)
	names, err := await(s, in, cancel, func(ctx context.Context) ([]string, error) { return s.tree.Xattrs(ctx, node) })
	if err != nil {
		return 0, s.status("listxattr", err)
	}
	isTrusted := func(name string) bool { return strings.HasPrefix(name, "trusted.") }
	if slices.ContainsFunc(names, isTrusted) && !maySeeTrusted(in.Pid) {
		names = slices.DeleteFunc(names, isTrusted)
	}
	var list []byte
	for _, name := range names {
		list = append(append(list, name...), 0)
	}
	return fits(list, dest)
}

// fits copies a value to its destination. If that is too short, the status is ERANGE. The
// size is the value's in both cases.
func fits(value, dest []byte) (uint32, fuse.Status) {
	if len(value) > len(dest) {
		return uint32(len(value)), fuse.ERANGE
	}
	copy(dest, value)
	return uint32(len(value)), fuse.OK
}

func (s *server) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if in.Flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		return fuse.EROFS
	}
	node := tree.NodeID(in.NodeId)
	f, err := await(s, &in.InHeader, cancel, func(ctx context.Context) (*tree.File, error) { return s.tree.Open(ctx, node) })
	if err != nil {
		return s.status("open", err)
	}
	out.OpenFlags = fuse.FOPEN_NOFLUSH
	if f.Made {
		out.OpenFlags |= fuse.FOPEN_DIRECT_IO
	} else {
		if out.BackingID, err = s.passthrough.open(node, f, in.Flags); err != nil {
			return s.status("open", errors.Join(err, f.Close()))
		}
		switch {
		case out.BackingID != 0:
			out.OpenFlags |= fuse.FOPEN_PASSTHROUGH
		case f.Kept:
			out.OpenFlags |= fuse.FOPEN_KEEP_CACHE
		}
	}
	out.Fh = s.files.add(f)
	return fuse.OK
}

func (s *server) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	f, ok := s.files.get(in.Fh)
	if !ok {
		return nil, fuse.EBADF
	}
	if !s.tree.MayStall(tree.NodeID(in.NodeId)) {
		n, err := f.ReadAt(request{cancel}, buf, int64(in.Offset))
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, s.status("read", err)
		}
		return fuse.ReadResultData(buf[:n]), fuse.OK
	}
	// go-fuse uses buf again when the request is answered.
	own, off := s.buffer(len(buf)), int64(in.Offset)
	n, err := await(s, &in.InHeader, cancel, func(ctx context.Context) (int, error) { return f.ReadAt(ctx, own.bytes, off) })
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, s.status("read", err)
	}
	own.bytes = own.bytes[:n]
	return own, fuse.OK
}

func (s *server) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	f, ok := s.files.get(in.Fh)
	if !ok {
		return fuse.EBADF
	}
	next, from := f.NextData, int64(in.Offset)
	switch in.Whence {
	case unix.SEEK_DATA:
	case unix.SEEK_HOLE:
		next = f.NextHole
	default:
		return fuse.EINVAL
	}
	off, err := await(s, &in.InHeader, cancel, func(ctx context.Context) (int64, error) { return next(ctx, from) })
	if errors.Is(err, io.EOF) {
		return fuse.Status(syscall.ENXIO)
	}
	if err != nil {
		return s.status("lseek", err)
	}
	out.Offset = uint64(off)
	return fuse.OK
}

func (s *server) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	f, ok := s.files.remove(in.Fh)
	if !ok {
		return
	}
	if !f.Made {
		// Before the file is closed: that may close its volume, which the kernel must no
		// longer use then.
		s.passthrough.release(tree.NodeID(in.NodeId))
	}
	if err := f.Close(); err != nil {
		s.log.Warn("closing", "error", err)
	}
}

// OpenDir answers ENOSYS, which says that folders need not be opened. Then the kernel
// sends no OPENDIR and RELEASEDIR any more, and caches each listing until the folder's
// mtime changes.
func (s *server) OpenDir(_ <-chan struct{}, _ *fuse.OpenIn, _ *fuse.OpenOut) fuse.Status {
	if !s.noOpenDir {
		return fuse.OK
	}
	return fuse.ENOSYS
}

func (s *server) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return s.readDir(cancel, in, false, func(e tree.DirEntry) bool {
		return out.AddDirEntry(dirEntry(e))
	})
}

func (s *server) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return s.readDir(cancel, in, true, func(e tree.DirEntry) bool {
		full := out.AddDirLookupEntry(dirEntry(e))
		if full == nil {
			return false
		}
		*full = fuse.EntryOut{}
		if e.Entry != nil {
			fillEntry(e.Entry, full)
		}
		return true
	})
}

func (s *server) readDir(cancel <-chan struct{}, in *fuse.ReadIn, plus bool, add func(tree.DirEntry) bool) fuse.Status {
	node, cookie := tree.NodeID(in.NodeId), in.Offset
	var mu sync.Mutex
	added, left := false, false // guarded by mu
	err := awaited(s, &in.InHeader, cancel, func(ctx context.Context) error {
		d, err := s.tree.OpenDir(ctx, node, cookie)
		if err != nil {
			return err
		}
		defer d.Close()
		return d.ReadDir(ctx, cookie, plus, func(e tree.DirEntry) bool {
			mu.Lock()
			defer mu.Unlock()
			if left || !add(e) {
				return false
			}
			added = true
			return true
		})
	})
	mu.Lock()
	defer mu.Unlock()
	left = true
	if err != nil && (!added || errors.Is(err, syscall.ESTALE)) { // ESTALE: the added entries are void
		if errors.Is(err, syscall.ENOENT) {
			// Its owner has removed the folder. Libraries take ENOENT for the end of a listing.
			err = fmt.Errorf("%w: %v", syscall.ESTALE, err)
		}
		return s.status("readdir", err)
	}
	// If there was an error after some entries, the kernel asks for the entries that follow,
	// and gets the error as the answer to that.
	return fuse.OK
}

func (s *server) StatFs(cancel <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	node := tree.NodeID(in.NodeId)
	st, err := await(s, in, cancel, func(ctx context.Context) (volfs.Statfs, error) { return s.tree.Statfs(ctx, node) })
	if err != nil {
		return s.status("statfs", err)
	}
	*out = fuse.StatfsOut{
		Blocks: st.Blocks, Bfree: st.BlocksFree, Bavail: st.BlocksAvail, Files: st.Files, Ffree: st.FilesFree,
		Bsize: st.BlockSize, Frsize: st.BlockSize, NameLen: st.NameLen,
	}
	return fuse.OK
}

// status is the answer for an error. It logs the error.
func (s *server) status(op string, err error) fuse.Status {
	var errno syscall.Errno
	switch {
	case errors.Is(err, context.Canceled):
		return fuse.EINTR
	case !errors.As(err, &errno):
		errno = syscall.EIO
	}
	switch errno {
	case syscall.EIO:
		s.log.Warn("cannot be read", "op", op, "error", err)
	case syscall.ENODATA:
		// Most files have no ACL, and ls asks for the ACL of each.
	default:
		s.log.Debug("refused", "op", op, "error", err)
	}
	return fuse.Status(errno)
}

func fillEntry(e *tree.Entry, out *fuse.EntryOut) {
	*out = fuse.EntryOut{NodeId: uint64(e.ID)}
	fillAttr(&e.Attr, &out.Attr)
	out.SetEntryTimeout(lifetime(e.NameKept))
	out.SetAttrTimeout(lifetime(e.AttrKept))
}

func fillAttr(a *volfs.Attr, out *fuse.Attr) {
	*out = fuse.Attr{
		Ino: uint64(a.Ino), Size: uint64(a.Size), Blocks: a.Blocks, Blksize: a.BlockSize,
		Mode: a.Mode, Nlink: a.Nlink, Owner: fuse.Owner{Uid: a.UID, Gid: a.GID},
		// The kernel's encoding of a device number is the low half of makedev(3)'s.
		Rdev:  uint32(a.Rdev),
		Atime: uint64(a.Atime.Sec), Atimensec: a.Atime.Nsec,
		Mtime: uint64(a.Mtime.Sec), Mtimensec: a.Mtime.Nsec,
		Ctime: uint64(a.Ctime.Sec), Ctimensec: a.Ctime.Nsec,
	}
}

func fillStatx(a *volfs.Attr, out *fuse.Statx) {
	when := func(t volfs.Time) fuse.SxTime { return fuse.SxTime{Sec: uint64(t.Sec), Nsec: t.Nsec} }
	*out = fuse.Statx{
		Mask: unix.STATX_BASIC_STATS, Blksize: a.BlockSize, Attributes: a.Flags,
		Nlink: a.Nlink, Uid: a.UID, Gid: a.GID, Mode: uint16(a.Mode),
		Ino: uint64(a.Ino), Size: uint64(a.Size), Blocks: a.Blocks,
		Atime: when(a.Atime), Mtime: when(a.Mtime), Ctime: when(a.Ctime),
		RdevMajor: unix.Major(a.Rdev), RdevMinor: unix.Minor(a.Rdev),
	}
	if a.Btime != (volfs.Time{}) {
		out.Mask |= unix.STATX_BTIME
		out.Btime = when(a.Btime)
	}
}

func dirEntry(e tree.DirEntry) fuse.DirEntry {
	return fuse.DirEntry{Name: e.Name, Ino: e.Ino, Mode: e.Type, Off: e.Cookie}
}

// request is the context of a FUSE request. The kernel interrupts a request at any signal
// that its caller catches. Calls of a filesystem on a disk do not fail for that. So an
// interrupt is not the end of the context: it only ends a wait for somebody else, which
// package wait makes.
type request struct{ interrupted <-chan struct{} }

func (request) Deadline() (time.Time, bool) { return time.Time{}, false }
func (request) Done() <-chan struct{}       { return nil }
func (request) Err() error                  { return nil }

func (r request) Value(key any) any {
	if key == (wait.Signal{}) {
		return r.interrupted
	}
	return nil
}
