package ext4

import (
	"testing"

	"thintree/volfs"
)

// TestTimesDecodeAsTheFormatsTableSays uses the table of the kernel's
// Documentation/filesystems/ext4, "Inode Timestamps".
func TestTimesDecodeAsTheFormatsTableSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sec, extra uint32
		want       volfs.Time
	}{
		{0xffffffff, 0, volfs.Time{Sec: -1}},
		{0x80000000, 0, volfs.Time{Sec: -0x80000000}}, // 1901
		{0, 0, volfs.Time{}},
		{0x7fffffff, 0, volfs.Time{Sec: 0x7fffffff}}, // 2038
		{0x80000000, 1, volfs.Time{Sec: 0x80000000}},
		{0xffffffff, 1, volfs.Time{Sec: 0xffffffff}},
		{0, 1, volfs.Time{Sec: 0x100000000}},
		{0x7fffffff, 3, volfs.Time{Sec: 0x37fffffff}}, // 2446
		{5, 999_999_999 << 2, volfs.Time{Sec: 5, Nsec: 999_999_999}},
		{5, 0xffffffff &^ 3, volfs.Time{Sec: 5, Nsec: 999_999_999}}, // no second has as many
	} {
		if got := decodeTime(c.sec, c.extra); got != c.want {
			t.Errorf("%#x, %#x: %+v, want %+v", c.sec, c.extra, got, c.want)
		}
	}
}

func TestSmallInodesHaveNeitherNanosecondsNorABirth(t *testing.T) {
	t.Parallel()
	in := &inode{raw: make([]byte, goodOldInodeSize)}
	for i := range in.raw {
		in.raw[i] = 0x11
	}
	var a volfs.Attr
	in.times(&a)
	want := volfs.Time{Sec: 0x11111111}
	if a.Mtime != want || a.Ctime != want || a.Atime != want || a.Btime != (volfs.Time{}) {
		t.Errorf("%+v", a)
	}
}
