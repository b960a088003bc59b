package probe

import (
	"fmt"
	"strings"
)

// ntfs is an NTFS volume, with the offset of its MFT in bytes.
type ntfs struct {
	boot                []byte
	sectorSize          uint64
	mftAt, recordLength uint64
}

// ntfsBoot checks the boot sector, and that the MFT is at the offset that it has.
func (p *prober) ntfsBoot() *ntfs {
	b := p.at(0, 512)
	if b == nil || string(b[3:11]) != "NTFS    " {
		return nil
	}
	sectorSize, perCluster := uint64(le.Uint16(b[0x0b:])), uint64(b[0x0d])
	if perCluster >= 240 && perCluster <= 249 {
		perCluster = 1 << (256 - perCluster)
	} else if perCluster > 128 {
		return nil
	}
	if sectorSize < 256 || sectorSize > 4096 || !powerOf2(uint32(sectorSize)) ||
		!powerOf2(uint32(perCluster)) || sectorSize*perCluster > 2<<20 ||
		!isZero(b[0x0e:0x15]) || !isZero(b[0x16:0x18]) || !isZero(b[0x20:0x24]) {
		return nil
	}
	n := &ntfs{boot: b, sectorSize: sectorSize}
	switch perRecord := int8(b[0x40]); {
	case perRecord > 0 && powerOf2(uint32(perRecord)):
		n.recordLength = uint64(perRecord) * perCluster * sectorSize
	case perRecord >= -16 && perRecord <= -9:
		n.recordLength = 1 << -perRecord
	}
	clusters := le.Uint64(b[0x28:]) / perCluster
	mft, mirror := le.Uint64(b[0x30:]), le.Uint64(b[0x38:])
	if n.recordLength < 512 || n.recordLength > 64<<10 || mft > clusters || mirror > clusters || mft > 1<<40 {
		return nil
	}
	n.mftAt = mft * perCluster * sectorSize
	if string(p.atU(n.mftAt, 4)) != "FILE" {
		return nil
	}
	return n
}

// probeNTFS finds NTFS. Its label is in the MFT's record 3, $Volume. The volume
// has one sector more than the filesystem counts, the second boot sector.
func probeNTFS(p *prober) *Signature {
	const volumeRecord, volumeName, end = 3, 0x60, 0xffffffff
	n := p.ntfsBoot()
	if n == nil {
		return nil
	}
	rec := p.atU(n.mftAt+volumeRecord*n.recordLength, int(n.recordLength))
	if rec == nil || string(rec[:4]) != "FILE" {
		return nil
	}
	s := &Signature{Type: "ntfs", SizeBytes: product(le.Uint64(n.boot[0x28:])+1, n.sectorSize)}
	if serial := le.Uint64(n.boot[0x48:]); serial != 0 {
		s.UUID = fmt.Sprintf("%016X", serial)
	}
	for off := int(le.Uint16(rec[20:])); off+24 <= len(rec); {
		attr := rec[off:]
		length := int(le.Uint32(attr[4:]))
		switch le.Uint32(attr) {
		case end:
			return s
		case volumeName:
			value, valueLen := int(le.Uint16(attr[20:])), int(le.Uint32(attr[16:]))
			if value <= len(attr) && valueLen <= len(attr)-value {
				s.Label = label16(attr[value:value+valueLen], le)
			}
			return s
		}
		if length <= 0 || length > len(attr) {
			return s
		}
		off += length
	}
	return s
}

// probeReFS finds ReFS.
func probeReFS(p *prober) *Signature {
	if !p.has(0, "\x00\x00\x00ReFS\x00") {
		return nil
	}
	return &Signature{Type: "ReFS"}
}

// bitLocker finds an encrypted volume's header. That of Windows Vista has no more than its
// magic. The others have the offset of the FVE metadata.
func (p *prober) bitLocker() *Signature {
	b := p.at(0, 512)
	if b == nil {
		return nil
	}
	var off uint64
	switch head := string(b[:11]); {
	case head == "\xeb\x52\x90-FVE-FS-":
		return &Signature{Type: "BitLocker"}
	case head == "\xeb\x58\x90-FVE-FS-":
		off = le.Uint64(b[176:])
	case head == "\xeb\x58\x90MSWIN4.1":
		off = le.Uint64(b[440:])
	default:
		return nil
	}
	if off == 0 || off%64 != 0 {
		return nil
	}
	fve := p.atU(off, 112)
	if fve == nil || !strings.HasPrefix(string(fve), "-FVE-FS-") {
		return nil
	}
	s := &Signature{Type: "BitLocker", Version: fmt.Sprint(le.Uint16(fve[10:])), UUID: guid(fve[80:96])}
	const description, text = 7, 2
	size := int(min(le.Uint32(fve[64:]), 64<<10))
	meta := p.atU(off+64, size)
	for e := 48; e+8 <= len(meta); {
		n := int(le.Uint16(meta[e:]))
		if n < 8 || e+n > len(meta) {
			break
		}
		if le.Uint16(meta[e+2:]) == description && le.Uint16(meta[e+4:]) == text {
			s.Label = label16(meta[e+8:e+n], le)
			break
		}
		e += n
	}
	return s
}

func probeBitLocker(p *prober) *Signature { return p.bitLocker() }
