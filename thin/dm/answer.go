package dm

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// parseTargets reads the table or the status that DM_TABLE_STATUS returns. In an answer the
// field next counts from the beginning of the data.
func parseTargets(data []byte, count int) ([]Target, error) {
	var table []Target
	at := uint64(0)
	for range count {
		if at+unix.SizeofDmTargetSpec > uint64(len(data)) {
			return nil, fmt.Errorf("target %d of %d lies beyond the answer of %d bytes", len(table), count, len(data))
		}
		spec := data[at:]
		table = append(table, Target{
			Start:  binary.NativeEndian.Uint64(spec[0:]),
			Length: binary.NativeEndian.Uint64(spec[8:]),
			Type:   text(spec[24:unix.SizeofDmTargetSpec]),
			Params: text(spec[unix.SizeofDmTargetSpec:]),
		})
		next := uint64(binary.NativeEndian.Uint32(spec[20:]))
		if len(table) < count && next < at+unix.SizeofDmTargetSpec {
			return nil, fmt.Errorf("target %d of %d overlaps the one before it", len(table), count)
		}
		at = next
	}
	return table, nil
}

// parseDevices reads the answer of DM_LIST_DEVICES. An entry is the device's number (8
// bytes, 0 if there is no device), the distance to the next entry (4 bytes), and the name.
func parseDevices(data []byte) ([]Listed, error) {
	var list []Listed
	err := entries(data, 8, 12, func(entry []byte) {
		if number := binary.NativeEndian.Uint64(entry); number != 0 {
			list = append(list, Listed{Number: deviceNumber(number), Name: text(entry[12:])})
		}
	})
	return list, err
}

// parseVersions reads the answer of DM_LIST_VERSIONS. An entry is the distance to the next
// entry (4 bytes), a version (3 numbers of 4 bytes), and the name.
func parseVersions(data []byte) ([]TargetVersion, error) {
	var list []TargetVersion
	err := entries(data, 0, 16, func(entry []byte) {
		number := func(i int) uint32 { return binary.NativeEndian.Uint32(entry[4*i:]) }
		list = append(list, TargetVersion{text(entry[16:]), Version{number(1), number(2), number(3)}})
	})
	return list, err
}

// entries calls yield with each entry of a list; the slice goes on to the end of the list.
// An entry has at least the given number of bytes. At offset next it holds the distance to
// the next entry, 0 in the last.
func entries(data []byte, next, bytes int, yield func(entry []byte)) error {
	if len(data) < bytes {
		return nil
	}
	for n := 0; ; n++ {
		if len(data) < bytes {
			return fmt.Errorf("entry %d lies beyond the answer", n)
		}
		yield(data)
		distance := binary.NativeEndian.Uint32(data[next:])
		switch {
		case distance == 0:
			return nil
		case distance < uint32(bytes), uint64(distance) > uint64(len(data)):
			return fmt.Errorf("entry %d has %d bytes, with %d left of the answer", n, distance, len(data))
		}
		data = data[distance:]
	}
}

// parseDeps reads the answer of DM_TABLE_DEPS: a count (4 bytes), 4 unused bytes, and
// device numbers of 8 bytes.
func parseDeps(data []byte) ([]uint64, error) {
	if len(data) < 8 {
		return nil, nil
	}
	count := uint64(binary.NativeEndian.Uint32(data))
	if data = data[8:]; count > uint64(len(data)/8) {
		return nil, fmt.Errorf("%d numbers in an answer of %d bytes", count, len(data))
	}
	numbers := make([]uint64, count)
	for i := range numbers {
		numbers[i] = deviceNumber(binary.NativeEndian.Uint64(data[8*i:]))
	}
	return numbers, nil
}
