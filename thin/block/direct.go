package block

import (
	"io"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// bounceBytes is the length of a bounce buffer. The reads of one file use at most
	// bounces of them at a time.
	bounceBytes = 1 << 20
	bounces     = 16

	defaultAlign = 4096
)

// direct reads a file that was opened with O_DIRECT, at any offset and into any
// buffer.
type direct struct {
	f        *os.File
	conn     syscall.RawConn
	offAlign int64   // of offsets and lengths in bytes, a power of two
	memAlign uintptr // of buffers in bytes, a power of two
	slots    chan struct{}
	buffers  sync.Pool // of *[]byte, bounceBytes long, aligned
}

func newDirect(f *os.File) (*direct, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	d := &direct{f: f, conn: conn, slots: make(chan struct{}, bounces)}
	if err := conn.Control(func(fd uintptr) { d.offAlign, d.memAlign = alignment(int(fd)) }); err != nil {
		return nil, err
	}
	d.buffers.New = func() any { return alignedBuffer(bounceBytes, d.memAlign) }
	return d, nil
}

// alignment is the alignment that the kernel requires for O_DIRECT, in bytes.
func alignment(fd int) (off int64, mem uintptr) {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st)
	if err == nil && st.Mask&unix.STATX_DIOALIGN != 0 && usable(st.Dio_offset_align) && usable(st.Dio_mem_align) {
		return int64(st.Dio_offset_align), uintptr(st.Dio_mem_align)
	}
	if n, err := unix.IoctlGetInt(fd, unix.BLKSSZGET); err == nil && usable(uint32(n)) {
		return int64(n), uintptr(n)
	}
	return defaultAlign, defaultAlign
}

func usable(align uint32) bool {
	return align > 0 && align&(align-1) == 0 && align <= bounceBytes
}

func alignedBuffer(n int, align uintptr) *[]byte {
	buf := make([]byte, uintptr(n)+align)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(buf))) & (align - 1)
	buf = buf[skip:][:n:n]
	return &buf
}

// readAt fills p, or returns io.EOF at the end of the file.
func (d *direct) readAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := d.readSome(p[done:], off+int64(done))
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// readSome reads at least one byte of p.
func (d *direct) readSome(p []byte, off int64) (int, error) {
	whole := int64(len(p)) &^ (d.offAlign - 1)
	if whole > 0 && off&(d.offAlign-1) == 0 && uintptr(unsafe.Pointer(unsafe.SliceData(p)))&(d.memAlign-1) == 0 {
		n, err := d.pread(p[:whole], off)
		if err == nil && n == 0 {
			err = io.EOF
		}
		return n, err
	}

	d.slots <- struct{}{}
	defer func() { <-d.slots }()
	buf := d.buffers.Get().(*[]byte)
	defer d.buffers.Put(buf)

	skip := off & (d.offAlign - 1)
	length := min((skip+int64(len(p))+d.offAlign-1)&^(d.offAlign-1), bounceBytes)
	n, err := d.pread((*buf)[:length], off-skip)
	if err != nil {
		return 0, err
	}
	if int64(n) <= skip {
		return 0, io.EOF
	}
	return copy(p, (*buf)[skip:n]), nil
}

// pread is pread(2). Unlike os.File's ReadAt it does not continue after a short read, because
// the rest would not be aligned.
func (d *direct) pread(p []byte, off int64) (n int, err error) {
	ctlErr := d.conn.Control(func(fd uintptr) {
		for {
			n, err = unix.Pread(int(fd), p, off)
			if err != unix.EINTR {
				return
			}
		}
	})
	if ctlErr != nil {
		err = ctlErr
	}
	if err != nil {
		return 0, &os.PathError{Op: "read", Path: d.f.Name(), Err: err}
	}
	return n, nil
}
