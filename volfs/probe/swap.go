package probe

import "encoding/binary"

// pageSizes are the offsets in bytes at which the swap signature may end.
var pageSizes = []int64{4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10}

// probeSwap finds swap space (include/linux/swap.h, union swap_header).
func probeSwap(p *prober) *Signature {
	for _, page := range pageSizes {
		switch string(p.at(page-10, 10)) {
		case "SWAP-SPACE":
			return &Signature{Type: "swap", Version: "0"}
		case "SWAPSPACE2":
			b := p.at(1024, 256)
			order := binaryOrder(b, 1)
			if order == nil || le.Uint32(b[4:]) == 0 {
				return nil
			}
			s := swapSignature("swap", "1", b)
			s.SizeBytes = (int64(order.Uint32(b[4:])) + 1) * page
			return s
		}
	}
	return nil
}

// probeSuspend finds swap space that holds a suspended system.
func probeSuspend(p *prober) *Signature {
	for _, page := range pageSizes {
		for _, m := range []struct{ magic, version string }{
			{"S1SUSPEND", "s1suspend"}, {"S2SUSPEND", "s2suspend"}, {"ULSUSPEND", "ulsuspend"}, {"LINHIB0001", "linhib0001"},
		} {
			if p.has(page-10, m.magic) {
				return swapSignature("swsuspend", m.version, p.at(1024, 256))
			}
		}
	}
	return nil
}

// swapSignature reads the label and the UUID. The oldest headers do not have them.
func swapSignature(name, version string, b []byte) *Signature {
	s := &Signature{Type: name, Version: version}
	if isZero(b[172:180]) {
		s.Label, s.UUID = label(b[28:44]), dashed(b[12:28])
	}
	return s
}

// binaryOrder returns the byte order in which b begins with magic, nil for neither.
func binaryOrder(b []byte, magic uint32) binary.ByteOrder {
	switch magic {
	case le.Uint32(b):
		return le
	case be.Uint32(b):
		return be
	}
	return nil
}
