package dm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	headerBytes = unix.SizeofDmIoctl

	// dataBytes is the room for an answer at first. If it is too small the command is run
	// again with more, up to maxDataBytes.
	dataBytes    = 1 << 10
	maxDataBytes = 16 << 20

	maxKeptBytes = 64 << 10 // a longer request is not kept for the next command
)

// A request is the buffer of one ioctl: a unix.DmIoctl and the data after it.
type request struct {
	words []uint64 // the memory of buf, aligned for a unix.DmIoctl
	buf   []byte
	name  string
}

// requests are reused: on machines with slow page faults fresh memory costs more than most
// ioctls.
var requests = sync.Pool{New: func() any {
	return &request{words: make([]uint64, (headerBytes+dataBytes+7)/8)}
}}

// newRequest makes a request about a device, "" for none, with data and with room bytes for
// an answer. The caller calls free after use.
func newRequest(name string, flags uint32, data []byte, room int) (*request, error) {
	if len(name) > MaxNameBytes {
		return nil, &NameError{name, fmt.Sprintf("it has %d bytes, more than %d", len(name), MaxNameBytes)}
	}
	if strings.Contains(name, "\x00") {
		return nil, &NameError{name, "it contains a NUL"} // the kernel would use only what is before it
	}
	r := requests.Get().(*request)
	n := (headerBytes + max(len(data), room) + 7) / 8
	if n > len(r.words) {
		r.words = make([]uint64, n)
	}
	clear(r.words[:n])
	r.buf, r.name = unsafe.Slice((*byte)(unsafe.Pointer(&r.words[0])), n*8), name
	h := r.header()
	h.Version = [3]uint32{unix.DM_VERSION_MAJOR, 0, 0} // every kernel accepts minor version 0
	h.Data_size = uint32(len(r.buf))
	h.Data_start = headerBytes
	h.Flags = flags
	copy(h.Name[:], name)
	copy(r.buf[headerBytes:], data)
	return r, nil
}

// free returns the request to the pool. What answer returned may not be used afterwards.
func (r *request) free() {
	if len(r.words)*8 <= maxKeptBytes {
		requests.Put(r)
	}
}

func (r *request) header() *unix.DmIoctl { return (*unix.DmIoctl)(unsafe.Pointer(&r.buf[0])) }

// answer is the data of the answer. If there is none the kernel sets Data_size to less than
// a header's length.
func (r *request) answer() []byte {
	h := r.header()
	if h.Data_size < h.Data_start || int(h.Data_size) > len(r.buf) {
		return nil
	}
	return r.buf[h.Data_start:h.Data_size]
}

// info is the description of the device in the answer's header.
func (r *request) info() Info {
	h := r.header()
	return Info{
		Name:            text(h.Name[:]),
		UUID:            text(h.Uuid[:]),
		Number:          deviceNumber(h.Dev),
		OpenCount:       int(h.Open_count),
		EventNr:         h.Event_nr,
		Targets:         int(h.Target_count),
		Suspended:       h.Flags&unix.DM_SUSPEND_FLAG != 0,
		ReadOnly:        h.Flags&unix.DM_READONLY_FLAG != 0,
		Active:          h.Flags&unix.DM_ACTIVE_PRESENT_FLAG != 0,
		Inactive:        h.Flags&unix.DM_INACTIVE_PRESENT_FLAG != 0,
		DeferredRemoval: h.Flags&unix.DM_DEFERRED_REMOVE != 0,
	}
}

// text is the string before the first NUL, or all of b if there is none.
func text(b []byte) string {
	before, _, _ := bytes.Cut(b, []byte{0})
	return string(before)
}

// deviceNumber converts a device number from the form of the ioctls (huge_encode_dev) to
// that of unix.Mkdev.
func deviceNumber(dev uint64) uint64 {
	return unix.Mkdev(uint32(dev>>8&0xfff), uint32(dev&0xff|dev>>12&0xfff00))
}

// targetSpecs encodes a table for DM_TABLE_LOAD.
func targetSpecs(table []Target) []byte {
	var out []byte
	for _, t := range table {
		bytes := unix.SizeofDmTargetSpec + len(t.Params) + 1
		bytes = (bytes + 7) &^ 7
		spec := make([]byte, bytes)
		binary.NativeEndian.PutUint64(spec[0:], t.Start)
		binary.NativeEndian.PutUint64(spec[8:], t.Length)
		binary.NativeEndian.PutUint32(spec[20:], uint32(bytes)) // next
		copy(spec[24:24+unix.DM_MAX_TYPE_NAME-1], t.Type)
		copy(spec[unix.SizeofDmTargetSpec:], t.Params)
		out = append(out, spec...)
	}
	return out
}
