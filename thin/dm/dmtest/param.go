package dmtest

import (
	"bytes"
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// dataOffset is the length of the kernel's struct dm_ioctl without the bytes that pad
	// it to a multiple of 8.
	dataOffset  = unix.SizeofDmIoctl - 7
	headerBytes = unix.SizeofDmIoctl

	versionMinor = 47 // of the ioctl interface in Linux 6.1
)

// param is the kernel's copy of an ioctl's buffer.
type param struct {
	header unix.DmIoctl
	data   []byte // the whole buffer, if the command takes or returns data
	passed string // the name that the caller passed

	// unanswered says that the kernel copies nothing back. That is so for a message to a
	// device without a table: the kernel's code returns 2, which is neither an error nor
	// success.
	unanswered bool
}

// withoutData reports whether a command takes and returns the header only.
func withoutData(command uint) bool {
	switch command {
	case unix.DM_DEV_CREATE, unix.DM_DEV_REMOVE, unix.DM_DEV_SUSPEND, unix.DM_DEV_STATUS, unix.DM_TABLE_CLEAR, unix.DM_DEV_ARM_POLL:
		return true
	}
	return false
}

// readParam copies a buffer in and checks it. In any case it writes the kernel's version to
// the buffer.
func (k *Kernel) readParam(command uint, buf []byte) (*param, error) {
	if len(buf) < headerBytes {
		k.violated("ioctl %#x: a buffer of %d bytes is less than a header", command, len(buf))
		return nil, unix.EINVAL
	}
	p := &param{}
	header := unsafe.Slice((*byte)(unsafe.Pointer(&p.header)), headerBytes)
	copy(header, buf)
	h := &p.header
	version := h.Version
	h.Version = [3]uint32{unix.DM_VERSION_MAJOR, versionMinor, 0}
	copy(buf, header[:unsafe.Sizeof(h.Version)])
	if version[0] != unix.DM_VERSION_MAJOR || version[1] > versionMinor {
		k.violated("ioctl %#x: version %v of the interface", command, version)
		return nil, unix.EINVAL
	}
	if command == unix.DM_VERSION {
		return p, nil
	}
	if !k.checkHeader(command, h, len(buf)) {
		return nil, unix.EINVAL
	}
	h.Flags &^= unix.DM_BUFFER_FULL_FLAG | unix.DM_UEVENT_GENERATED_FLAG | unix.DM_SECURE_DATA_FLAG | unix.DM_DATA_OUT_FLAG
	p.passed = cString(h.Name[:])
	if !withoutData(command) {
		p.data = bytes.Clone(buf[:h.Data_size])
	}
	h.Data_size = dataOffset
	return p, nil
}

// writeBack copies the answer out.
func (p *param) writeBack(buf []byte) {
	header := unsafe.Slice((*byte)(unsafe.Pointer(&p.header)), headerBytes)
	n := int(p.header.Data_size)
	copy(buf, header[:min(n, headerBytes)])
	if n > headerBytes {
		copy(buf[headerBytes:n], p.data[headerBytes:])
	}
}

// room is the space for an answer.
func (p *param) room() []byte {
	p.header.Data_start = headerBytes
	if len(p.data) <= headerBytes {
		return nil
	}
	return p.data[headerBytes:]
}

// answer stores an answer, or sets DM_BUFFER_FULL_FLAG if there is no room for it.
func (p *param) answer(data []byte) {
	room := p.room()
	if len(room) < len(data) {
		p.full()
		return
	}
	copy(room, data)
	p.header.Data_size = uint32(headerBytes + len(data))
}

func (p *param) full() { p.header.Flags |= unix.DM_BUFFER_FULL_FLAG }

func (p *param) has(flag uint32) bool { return p.header.Flags&flag != 0 }

// setName puts the device's name and UUID into the header, as the kernel does
// when it finds the device.
func (p *param) setName(name, uuid string) {
	h := &p.header
	clear(h.Name[:])
	clear(h.Uuid[:])
	copy(h.Name[:], name)
	copy(h.Uuid[:], uuid)
}

// encodeNumber is the kernel's huge_encode_dev.
func encodeNumber(major, minor uint32) uint64 {
	return uint64(minor&0xff | major<<8 | minor&^0xff<<12)
}

func encode(number uint64) uint64 { return encodeNumber(unix.Major(number), unix.Minor(number)) }

func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

func align(n int) int { return (n + 7) &^ 7 }

func appendAligned(b []byte) []byte { return append(b, make([]byte, align(len(b))-len(b))...) }

var native = binary.NativeEndian
