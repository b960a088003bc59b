package dmtest

import (
	"encoding/binary"
	"errors"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// buffer is an ioctl's buffer with a valid header.
func buffer(name string, data []byte) ([]byte, *unix.DmIoctl) {
	words := make([]uint64, (headerBytes+len(data)+7)/8)
	buf := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(words)*8)
	h := (*unix.DmIoctl)(unsafe.Pointer(&words[0]))
	h.Version = [3]uint32{4, 0, 0}
	h.Data_size, h.Data_start = uint32(len(buf)), headerBytes
	copy(h.Name[:], name)
	copy(buf[headerBytes:], data)
	return buf, h
}

// tableData is a table of one target, as DM_TABLE_LOAD takes it.
func tableData(kind, params string, next uint32) []byte {
	data := make([]byte, unix.SizeofDmTargetSpec, 64)
	binary.NativeEndian.PutUint64(data[8:], 8)
	binary.NativeEndian.PutUint32(data[20:], next)
	copy(data[24:], kind)
	return append(data, params...)
}

func TestInvalidBuffersAreViolations(t *testing.T) {
	t.Parallel()
	full := func(b []byte) {
		for i := range b {
			b[i] = 'x'
		}
	}
	for _, test := range []struct {
		name    string
		command uint
		data    []byte
		change  func(h *unix.DmIoctl)
		valid   bool
	}{
		{name: "valid", command: unix.DM_TABLE_LOAD, data: tableData("error", "\x00\x00\x00\x00\x00\x00\x00\x00", 48), valid: true},
		{name: "data_size beyond the buffer", command: unix.DM_DEV_STATUS, change: func(h *unix.DmIoctl) { h.Data_size++ }},
		{name: "data_size within the header", command: unix.DM_DEV_STATUS, change: func(h *unix.DmIoctl) { h.Data_size = 300 }},
		{name: "data_start within the header", command: unix.DM_DEV_STATUS, change: func(h *unix.DmIoctl) { h.Data_start = 300 }},
		{name: "a name that does not end", command: unix.DM_DEV_STATUS, change: func(h *unix.DmIoctl) { full(h.Name[:]) }},
		{name: "a UUID that does not end", command: unix.DM_DEV_CREATE, change: func(h *unix.DmIoctl) { full(h.Uuid[:]) }},
		{name: "a UUID beside a name", command: unix.DM_DEV_STATUS, change: func(h *unix.DmIoctl) { h.Uuid[0] = 'x' }},
		{name: "a number beside a name", command: unix.DM_DEV_STATUS, change: func(h *unix.DmIoctl) { h.Dev = 1 }},
		{name: "a newer minor version", command: unix.DM_DEV_STATUS, change: func(h *unix.DmIoctl) { h.Version[1] = 99 }},
		{name: "fewer targets than target_count", command: unix.DM_TABLE_LOAD, data: tableData("error", "\x00\x00\x00\x00\x00\x00\x00\x00", 48), change: func(h *unix.DmIoctl) { h.Target_count = 2 }},
		{name: "a type that does not end", command: unix.DM_TABLE_LOAD, data: tableData("xxxxxxxxxxxxxxxx", "\x00\x00\x00\x00\x00\x00\x00\x00", 48)},
		{name: "parameters that do not end", command: unix.DM_TABLE_LOAD, data: tableData("error", "xxxxxxxx", 48)},
		{name: "next that is not aligned", command: unix.DM_TABLE_LOAD, data: tableData("error", "\x00\x00\x00\x00\x00\x00\x00\x00", 47)},
		{name: "next beyond the buffer", command: unix.DM_TABLE_LOAD, data: tableData("error", "\x00\x00\x00\x00\x00\x00\x00\x00", 56)},
		{name: "next is 0", command: unix.DM_TABLE_LOAD, data: tableData("error", "\x00\x00\x00\x00\x00\x00\x00\x00", 0)},
		{name: "a message that does not end", command: unix.DM_TARGET_MSG, data: []byte("\x00\x00\x00\x00\x00\x00\x00\x00xxxxxxxx")},
		{name: "a new name that does not end", command: unix.DM_DEV_RENAME, data: []byte("xxxxxxxx")},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			k := New()
			if _, err := client(t, k).Create(t.Context(), "a", ""); err != nil {
				t.Fatal(err)
			}
			control, err := k.Control()
			if err != nil {
				t.Fatal(err)
			}
			defer control.Close()
			buf, h := buffer("a", test.data)
			h.Target_count = 1
			if test.change != nil {
				test.change(h)
			}
			err = control.Ioctl(test.command, buf)
			if test.valid && (err != nil || k.Violations() != nil) {
				t.Errorf("error %v, violations %q", err, k.Violations())
			}
			if !test.valid && (!errors.Is(err, unix.EINVAL) || len(k.Violations()) != 1) {
				t.Errorf("error %v, violations %q", err, k.Violations())
			}
		})
	}
}

func TestAnswerThatDoesNotFitSetsTheFullFlag(t *testing.T) {
	t.Parallel()
	k := New()
	activate(t, client(t, k), "a", "linear", "7:0 0")
	control, err := k.Control()
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	for command, needs := range map[uint]int{
		unix.DM_LIST_DEVICES:  24,
		unix.DM_TABLE_STATUS:  48,
		unix.DM_TABLE_DEPS:    16,
		unix.DM_LIST_VERSIONS: 5*(16+1+7) + len("errorlinearsnapshotthinthin-pool"),
	} {
		for _, room := range []int{0, 4, needs - 1, needs, needs + 8} {
			buf, h := buffer("a", make([]byte, room))
			h.Data_size = uint32(headerBytes + room)
			if command == unix.DM_LIST_DEVICES || command == unix.DM_LIST_VERSIONS {
				clear(h.Name[:])
			}
			if err := control.Ioctl(command, buf[:headerBytes+room]); err != nil {
				t.Fatal(err)
			}
			if got, want := h.Flags&unix.DM_BUFFER_FULL_FLAG != 0, room < needs; got != want {
				t.Errorf("%#x: full flag is %[4]v for an answer of %[2]d bytes in %[3]d", command, needs, room, got)
			}
			if h.Data_size > uint32(headerBytes+room) {
				t.Errorf("%#x: data_size is %d, with room for %d", command, h.Data_size, room)
			}
		}
	}
}
