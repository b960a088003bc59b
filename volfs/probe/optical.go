package probe

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
)

const (
	opticalAt     = 32 << 10
	opticalSector = 2048
)

// probeISO9660 finds ISO 9660 (ECMA-119) with its Joliet extension, and High Sierra. The
// UUID is the time of the last change.
func probeISO9660(p *prober) *Signature {
	const primary, supplementary, end = 1, 2, 255
	shift := int64(0) // High Sierra has 8 bytes more at the start
	if !p.has(opticalAt+1, "CD001") {
		if !p.has(opticalAt+9, "CDROM") {
			return nil
		}
		shift = 8
	}
	var pvd, joliet []byte
	for i := range int64(16) {
		d := p.at(opticalAt+i*opticalSector+shift, opticalSector-int(shift))
		if d == nil || d[0] == end {
			break
		}
		switch {
		case pvd == nil && d[0] == primary:
			pvd = d
		case joliet == nil && shift == 0 && d[0] == supplementary && (string(d[88:91]) == "%/@" || string(d[88:91]) == "%/C" || string(d[88:91]) == "%/E"):
			joliet = d
		}
	}
	if pvd == nil || !p.isoRoot(pvd, shift > 0) {
		return nil
	}
	s := &Signature{Type: "iso9660", SizeBytes: product(uint64(le.Uint32(pvd[80:])), uint64(le.Uint16(pvd[128:])))}
	switch {
	case shift > 0:
		s.Version, s.Label, s.UUID = "High Sierra", label(pvd[40:72]), isoTime(pvd[790:806], pvd[774:790], 0, 0)
		return s
	case joliet != nil:
		s.Version, s.Label = "Joliet Extension", jolietLabel(joliet[40:72], pvd[40:72])
	default:
		s.Label = label(pvd[40:72])
	}
	s.UUID = isoTime(pvd[830:846], pvd[813:829], pvd[846], pvd[829])
	return s
}

// isoRoot checks that the root folder begins with an entry for itself. Otherwise a disc's
// image inside another filesystem could be taken for the filesystem.
func (p *prober) isoRoot(pvd []byte, highSierra bool) bool {
	record := pvd[156:]
	if highSierra {
		record = pvd[172:]
	}
	root := p.atU(uint64(le.Uint32(record[2:]))*uint64(le.Uint16(pvd[128:])), 34)
	return root != nil && root[0] >= 34 && root[32] == 1 && root[33] == 0 && le.Uint32(root[2:]) == le.Uint32(record[2:])
}

// isoTime returns the time of the last change, or of creation if that is not set.
func isoTime(modified, created []byte, modifiedZone, createdZone byte) string {
	t := modified
	if string(t) == "0000000000000000" && modifiedZone == 0 {
		t = created
		if string(t) == "0000000000000000" && createdZone == 0 {
			return ""
		}
	}
	if isZero(t) {
		return ""
	}
	return fmt.Sprintf("%s-%s-%s-%s-%s-%s-%s", t[:4], t[4:6], t[6:8], t[8:10], t[10:12], t[12:14], t[14:16])
}

// jolietLabel joins the two labels of a disc. Joliet's has at most 16 characters of
// UTF-16. The primary one has 32, with '_' for all but capital letters and digits. If they
// differ in more than that, it returns Joliet's.
func jolietLabel(joliet, primary []byte) string {
	units := make([]uint16, len(joliet)/2)
	for i := range units {
		units[i] = be.Uint16(joliet[2*i:])
	}
	wide := decode16(units)
	var merged []rune
	for i, c := range primary {
		narrow := rune(c)
		switch {
		case i >= len(wide):
			merged = append(merged, narrow)
		case narrow == '_':
			merged = append(merged, wide[i])
		case wide[i] == '_':
			merged = append(merged, narrow)
		case unicode.ToUpper(wide[i]) != unicode.ToUpper(narrow):
			return label16(joliet, be)
		case unicode.IsUpper(narrow):
			merged = append(merged, wide[i])
		default:
			merged = append(merged, narrow)
		}
	}
	return label([]byte(text16(merged)))
}

// probeUDF finds UDF (ECMA-167, OSTA UDF 2.60) with any block size.
func probeUDF(p *prober) *Signature {
	const anchor, primary, logical, terminating = 2, 1, 6, 8
	for _, blockSize := range []int64{512, 1024, 2048, 4096} {
		if !p.udfRecognised(max(blockSize, opticalSector)) {
			continue
		}
		for _, block := range []int64{256, 512} {
			tag := p.at(block*blockSize, 24)
			if tag == nil || le.Uint16(tag) != anchor || le.Uint32(tag[12:]) != uint32(block) {
				continue
			}
			s, isUDF := &Signature{Type: "udf"}, false
			count, start := min(int64(le.Uint32(tag[16:]))/blockSize, 64), int64(le.Uint32(tag[20:]))
			for i := range count {
				d := p.at((start+i)*blockSize, 512)
				if d == nil || le.Uint32(d[12:]) != uint32(start+i) || le.Uint16(d) == terminating {
					break
				}
				switch le.Uint16(d) {
				case primary:
					if s.UUID == "" && isUnicode(d[200:264]) {
						s.UUID = udfUUID(d[72:200])
					}
				case logical:
					if strings.HasPrefix(string(d[217:]), "*OSTA UDF Compliant") {
						isUDF = true
						if rev := le.Uint16(d[240:]); s.Version == "" && rev != 0 {
							s.Version = fmt.Sprintf("%x.%02x", rev>>8, rev&0xff)
						}
					}
					if s.Label == "" && isUnicode(d[20:84]) {
						s.Label = dstring(d[84:212])
					}
				}
			}
			if isUDF {
				return s
			}
			return nil
		}
	}
	return nil
}

// udfRecognised looks for NSR in the volume recognition sequence.
func (p *prober) udfRecognised(step int64) bool {
	for off := int64(opticalAt); off < headBytes-opticalSector; off += step {
		switch string(p.at(off+1, 5)) {
		case "NSR02", "NSR03":
			return true
		case "BEA01", "BOOT2", "CD001", "CDW02", "TEA01":
		default:
			return false
		}
	}
	return false
}

func isUnicode(charspec []byte) bool {
	return charspec[0] == 0 && label(charspec[1:]) == "OSTA Compressed Unicode"
}

// dstring decodes OSTA compressed Unicode: a compression id, the text, and the length of
// both in the last byte.
func dstring(d []byte) string {
	n := max(0, min(int(d[len(d)-1])-1, len(d)-2))
	switch d[0] {
	case 8:
		return labelLatin1(d[1 : 1+n])
	case 16:
		return label16(d[1:1+n], be)
	}
	return ""
}

// udfUUID makes 16 hexadecimal digits of the volume set identifier. Its first 16
// characters are meant to be unique, and mostly are digits.
func udfUUID(volumeSet []byte) string {
	text := []byte(dstring(volumeSet))
	if len(text) < 8 {
		return ""
	}
	text = append(text, make([]byte, 16)...)[:16]
	notHex := bytes.IndexFunc(text, func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", r) })
	switch {
	case notHex < 0:
		return strings.ToLower(string(text))
	case notHex < 8:
		return hex.EncodeToString(text[:8])
	default:
		return strings.ToLower(string(text[:8])) + hex.EncodeToString(text[8:12])
	}
}
