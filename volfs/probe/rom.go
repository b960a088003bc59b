package probe

import (
	"encoding/binary"
	"fmt"
)

// probeSquashfs finds SquashFS (fs/squashfs/squashfs_fs.h), called squashfs3 up
// to version 3. The size does not include the padding after it.
func probeSquashfs(p *prober) *Signature {
	sb := p.at(0, 96)
	if sb == nil {
		return nil
	}
	var order binary.ByteOrder
	switch string(sb[:4]) {
	case "hsqs":
		order = le
	case "sqsh":
		order = be
	default:
		return nil
	}
	major := order.Uint16(sb[28:])
	s := &Signature{Type: "squashfs3", Version: fmt.Sprintf("%d.%d", major, order.Uint16(sb[30:]))}
	if major > 3 {
		if order == be {
			return nil
		}
		s.Type, s.SizeBytes = "squashfs", product(le.Uint64(sb[40:]), 1)
	}
	return s
}

// probeEROFS finds EROFS (fs/erofs/erofs_fs.h, struct erofs_super_block).
func probeEROFS(p *prober) *Signature {
	const at = 1024
	sb := p.at(at, 128)
	if sb == nil || string(sb[:4]) != "\xe2\xe1\xf5\xe0" {
		return nil
	}
	bits := sb[12]
	if bits < 9 || bits > 16 {
		return nil
	}
	if le.Uint32(sb[8:])&1 != 0 {
		block := p.at(at, 1<<bits-at)
		if block == nil || ^crc32c(without(block, 4, 4)...) != le.Uint32(sb[4:]) {
			return nil
		}
	}
	return &Signature{
		Type: "erofs", Label: label(sb[64:80]), UUID: dashed(sb[48:64]),
		SizeBytes: product(uint64(le.Uint32(sb[36:])), 1<<bits),
	}
}

// probeCramfs finds cramfs of either byte order (fs/cramfs). The checksum is over
// the whole image. It is checked only for images that the head contains.
func probeCramfs(p *prober) *Signature {
	const fsidVersion2 = 1
	sb := p.at(0, 64)
	if sb == nil {
		return nil
	}
	var order binary.ByteOrder
	switch string(sb[:4]) {
	case "\x45\x3d\xcd\x28":
		order = le
	case "\x28\xcd\x3d\x45":
		order = be
	default:
		return nil
	}
	s := &Signature{Type: "cramfs", Version: "1", Label: label(sb[48:64]), SizeBytes: int64(order.Uint32(sb[4:]))}
	if order.Uint32(sb[8:])&fsidVersion2 == 0 {
		return s
	}
	s.Version = "2"
	if s.SizeBytes < int64(len(sb)) {
		return nil
	}
	if s.SizeBytes <= int64(len(p.head)) {
		if ^crc32Raw(^uint32(0), without(p.head[:s.SizeBytes], 32, 4)...) != order.Uint32(sb[32:]) {
			return nil
		}
	}
	return s
}

// probeRomfs finds romfs (the kernel's Documentation/filesystems/romfs.rst).
func probeRomfs(p *prober) *Signature {
	sb := p.at(0, 32)
	if sb == nil || string(sb[:8]) != "-rom1fs-" {
		return nil
	}
	size := be.Uint32(sb[8:])
	summed := p.at(0, int(min(512, size)))
	if len(summed)%4 != 0 {
		return nil
	}
	var sum uint32
	for b := summed; len(b) > 0; b = b[4:] {
		sum += be.Uint32(b)
	}
	if len(summed) == 0 || sum != 0 {
		return nil
	}
	return &Signature{Type: "romfs", Label: label(sb[16:32]), SizeBytes: int64(size)}
}
