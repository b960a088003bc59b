package probe

import "fmt"

const (
	bcacheAt      = 4096
	bcacheMagic   = "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"
	bcachefsMagic = "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"
)

// probeBcache finds a cache or backing device of bcache (drivers/md/bcache,
// struct cache_sb_disk).
func probeBcache(p *prober) *Signature {
	const maxKeys = 256
	b := p.at(bcacheAt, 208+8*maxKeys)
	if b == nil || string(b[24:40]) != bcacheMagic || le.Uint64(b[8:]) != bcacheAt/512 {
		return nil
	}
	keys := int(le.Uint16(b[206:]))
	if keys > maxKeys || crc64WE(b[8:208+8*keys]) != le.Uint64(b) {
		return nil
	}
	return &Signature{
		Type: "bcache", Version: fmt.Sprint(le.Uint64(b[16:])), Label: label(b[72:104]), UUID: dashed(b[40:56]),
	}
}

// probeBcachefs finds the first superblock of bcachefs (struct bch_sb). That contains its
// own offset. Old ones have bcache's magic.
func probeBcachefs(p *prober) *Signature {
	b := p.at(bcacheAt, 128)
	if b == nil || string(b[24:40]) != bcachefsMagic && string(b[24:40]) != bcacheMagic {
		return nil
	}
	device, devices := b[122], b[123]
	if le.Uint64(b[104:]) != bcacheAt/512 || device >= devices {
		return nil
	}
	version := le.Uint16(b[16:])
	return &Signature{
		Type: "bcachefs", Version: fmt.Sprintf("%d.%d", version>>10, version&0x3ff), Label: label(b[72:104]), UUID: dashed(b[56:72]),
	}
}
