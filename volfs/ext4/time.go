package ext4

import (
	"encoding/binary"

	"thintree/volfs"
)

// times decodes the four times of an inode. Each has 32 bits of seconds. If the inode is
// large enough, an extra word has two more bits of the seconds, and the nanoseconds.
func (in *inode) times(a *volfs.Attr) {
	a.Ctime = in.time(0xc, 0x84)
	a.Mtime = in.time(0x10, 0x88)
	a.Atime = in.time(0x8, 0x8c)
	const crtime, crtimeExtra = 0x90, 0x94
	if in.fits(crtime, 4) {
		a.Btime = in.time(crtime, crtimeExtra)
	}
}

// time decodes the time at off with its extra word at extraOff.
func (in *inode) time(off, extraOff int) volfs.Time {
	sec := binary.LittleEndian.Uint32(in.raw[off:])
	if !in.fits(extraOff, 4) {
		return decodeTime(sec, 0)
	}
	return decodeTime(sec, binary.LittleEndian.Uint32(in.raw[extraOff:]))
}

// decodeTime adds the extra word's lower two bits to the seconds as multiples
// of 2³². The upper thirty are the nanoseconds. They are at most 999,999,999.
func decodeTime(sec, extra uint32) volfs.Time {
	return volfs.Time{
		Sec:  int64(int32(sec)) + int64(extra&3)<<32,
		Nsec: min(extra>>2, 999_999_999),
	}
}
