package dm

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestTargetsAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	table := []Target{
		{0, 8, "error", ""},
		{8, 1 << 40, "thin-pool", "7:0 7:1 128 0 1 read_only"},
		{8 + 1<<40, 3, "fifteen-letters", "1234567"},
	}
	data := targetSpecs(table)
	// In a request next counts from the target itself, in an answer from the beginning.
	at := uint32(0)
	for range table {
		next := binary.NativeEndian.Uint32(data[at+20:])
		if next%8 != 0 {
			t.Errorf("a target has %d bytes, not a multiple of 8", next)
		}
		binary.NativeEndian.PutUint32(data[at+20:], at+next)
		at += next
	}
	got, err := parseTargets(data, len(table))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(table, got); diff != "" {
		t.Error(diff)
	}
}

func TestDeviceNumbers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		encoded      uint64
		major, minor uint32
	}{
		{0xfe00, 254, 0},
		{0xfeff, 254, 255},
		{0x10fe00, 254, 256},
		{0xfff0feff, 254, 1<<20 - 1},
		{0xfff00, 4095, 0},
	} {
		if got := deviceNumber(test.encoded); got != unix.Mkdev(test.major, test.minor) {
			t.Errorf("%#x is %d:%d, not %d:%d", test.encoded, unix.Major(got), unix.Minor(got), test.major, test.minor)
		}
	}
}

func FuzzParseTargets(f *testing.F) {
	f.Add(targetSpecs([]Target{{0, 8, "error", ""}, {8, 8, "linear", "7:0 0"}}), 2)
	f.Add([]byte{}, 1)
	f.Fuzz(func(t *testing.T, data []byte, count int) {
		table, err := parseTargets(data, count)
		if err == nil && len(table) != max(count, 0) {
			t.Errorf("%d targets of %d", len(table), count)
		}
		if len(table)*unix.SizeofDmTargetSpec > len(data) {
			t.Errorf("%d targets in %d bytes", len(table), len(data))
		}
	})
}

func FuzzParseLists(f *testing.F) {
	f.Add([]byte("\x00\xfe\x00\x00\x00\x00\x00\x00\x18\x00\x00\x00a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xfe\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00b\x00\x00\x00"))
	f.Add([]byte("\x18\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00linear\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00error\x00"))
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x01\x07\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if list, _ := parseDevices(data); len(list)*12 > len(data) {
			t.Errorf("%d devices in %d bytes", len(list), len(data))
		}
		if list, _ := parseVersions(data); len(list)*16 > len(data) {
			t.Errorf("%d target types in %d bytes", len(list), len(data))
		}
		if numbers, _ := parseDeps(data); len(numbers)*8 > len(data) {
			t.Errorf("%d numbers in %d bytes", len(numbers), len(data))
		}
	})
}
