package probe

import "fmt"

const (
	zfsLabelBytes = 256 << 10
	zfsPairsAt    = 16 << 10 // in a label
	zfsPairsBytes = 16 << 10 // how much of the list's 112 KiB is read
)

// probeZFS finds a member of a ZFS pool by one of its four labels (two at the
// start, two at the end). The label is the pool's name, the UUID its guid.
func probeZFS(p *prober) *Signature {
	size := p.v.Size()
	end := size - size%zfsLabelBytes
	for _, off := range []int64{0, zfsLabelBytes, end - 2*zfsLabelBytes, end - zfsLabelBytes} {
		if p.partitions.covers(off+zfsPairsAt, zfsPairsBytes) {
			continue
		}
		head := p.at(off+zfsPairsAt, 16)
		if head == nil || head[0] != 1 || head[1] > 1 || be.Uint32(head[12:]) == 0 {
			continue
		}
		if s := zfsPairs(p.at(off+zfsPairsAt, zfsPairsBytes)); s != nil {
			return s
		}
	}
	return nil
}

// zfsPairs reads the top pairs of a name-value list in XDR. They come before those that
// contain lists.
func zfsPairs(b []byte) *Signature {
	const number, text = 8, 9
	if b == nil {
		return nil
	}
	s := &Signature{Type: "zfs_member"}
	var guid, poolGUID bool
	for b = b[12:]; len(b) >= 12; {
		size, nameLen := int64(be.Uint32(b)), int64(be.Uint32(b[8:]))
		value := 12 + (nameLen+3)&^3
		if size < value+8 || size > int64(len(b)) {
			break
		}
		name, v := string(b[12:12+nameLen]), b[value:size]
		switch kind := be.Uint32(v); {
		case kind == number && len(v) >= 16 && name == "guid":
			guid = be.Uint64(v[8:]) != 0
		case kind == number && len(v) >= 16 && name == "pool_guid":
			poolGUID = true
			s.UUID = fmt.Sprint(be.Uint64(v[8:]))
		case kind == number && len(v) >= 16 && name == "version":
			s.Version = fmt.Sprint(be.Uint64(v[8:]))
		case kind == text && len(v) >= 12 && name == "name":
			if n := int64(be.Uint32(v[8:])); n <= int64(len(v)-12) {
				s.Label = label(v[12 : 12+n])
			}
		}
		b = b[size:]
	}
	if !guid && !poolGUID {
		return nil
	}
	return s
}
