package lvm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"thintree/thin/block"
	"thintree/thin/blockdev"
)

const (
	labelScanSectors = 4          // LABEL_SCAN_SECTORS
	labelSize        = 512        // LABEL_SIZE
	labelID          = "LABELONE" // LABEL_ID
	lvm2Label        = "LVM2 001" // LVM2_LABEL
	initialCRC       = 0xf597a6cf // INITIAL_CRC
	idLen            = 32         // ID_LEN
)

// The offsets in a label_header, and in the pv_header that follows it.
const (
	labelSectorXL  = 8
	labelCRCXL     = 16
	labelOffsetXL  = 20
	labelType      = 24
	pvDeviceSizeXL = idLen
	pvDiskAreasXL  = idLen + 8
	diskLocnBytes  = 16
)

var le = binary.LittleEndian

// calcCRC is LVM's checksum: CRC-32 with another initial value, that is not inverted in the end.
func calcCRC(p []byte) uint32 {
	const initial uint32 = initialCRC
	return ^crc32.Update(^initial, crc32.IEEETable, p)
}

// diskLocn is an area of a disk, in bytes (disk_locn).
type diskLocn struct{ Offset, Size uint64 }

// pvHeader says that a disk is a physical volume, and where its areas are (pv_header).
type pvHeader struct {
	PVUUID        string // with hyphens, as in the text
	DeviceSize    uint64 // bytes
	DataAreas     []diskLocn
	MetadataAreas []diskLocn
	Used          bool // PV_EXT_USED: it is in a volume group
}

// readLabel reads the label of a disk. It returns nil if the disk has none. The error says that
// it is damaged, or cannot be read.
func readLabel(ctx context.Context, r block.Reader) (*pvHeader, error) {
	sectors := make([]byte, min(labelScanSectors*labelSize, r.Size()))
	if err := readFull(ctx, r, sectors, 0); err != nil {
		return nil, err
	}
	return parseLabel(sectors)
}

// parseLabel finds the label in the first sectors of a disk. Of several valid ones LVM takes the
// first.
func parseLabel(sectors []byte) (*pvHeader, error) {
	var damage error
	for n := 0; (n+1)*labelSize <= len(sectors); n++ {
		sector := sectors[n*labelSize:][:labelSize]
		if string(sector[:len(labelID)]) != labelID {
			continue
		}
		h, err := parsePVHeader(sector, uint64(n))
		if err == nil {
			return h, nil
		}
		damage = errors.Join(damage, fmt.Errorf("label in sector %d: %w", n, err))
	}
	return nil, damage
}

func parsePVHeader(sector []byte, number uint64) (*pvHeader, error) {
	if got := le.Uint64(sector[labelSectorXL:]); got != number {
		return nil, fmt.Errorf("it is of sector %d", got)
	}
	if want, got := le.Uint32(sector[labelCRCXL:]), calcCRC(sector[labelOffsetXL:]); got != want {
		return nil, fmt.Errorf("checksum %#08x instead of %#08x", got, want)
	}
	if kind := sector[labelType:][:len(lvm2Label)]; string(kind) != lvm2Label {
		return nil, fmt.Errorf("type %q instead of %q", kind, lvm2Label)
	}
	offset := le.Uint32(sector[labelOffsetXL:])
	if offset > labelSize-pvDiskAreasXL {
		return nil, fmt.Errorf("pv_header at byte %d of %d", offset, labelSize)
	}
	pv := sector[offset:]
	h := &pvHeader{DeviceSize: le.Uint64(pv[pvDeviceSizeXL:])}
	var err error
	if h.PVUUID, err = formatID(pv[:idLen]); err != nil {
		return nil, err
	}
	rest := pv[pvDiskAreasXL:]
	if h.DataAreas, rest, err = diskLocns(rest); err != nil {
		return nil, fmt.Errorf("data areas: %w", err)
	}
	if h.MetadataAreas, rest, err = diskLocns(rest); err != nil {
		return nil, fmt.Errorf("metadata areas: %w", err)
	}
	// The pv_header_extension has a version, 0 if there is none, and flags since version 2.
	const version, flags, extensionBytes, used = 0, 4, 8, 1
	if len(rest) >= extensionBytes && le.Uint32(rest[version:]) >= 2 {
		h.Used = le.Uint32(rest[flags:])&used != 0
	}
	return h, nil
}

// diskLocns reads a list of areas, which ends with an offset of 0.
func diskLocns(p []byte) (list []diskLocn, rest []byte, err error) {
	for len(p) >= diskLocnBytes {
		l := diskLocn{le.Uint64(p), le.Uint64(p[8:])}
		p = p[diskLocnBytes:]
		if l.Offset == 0 {
			return list, p, nil
		}
		if l.Offset > math.MaxInt64 || l.Size > math.MaxInt64-l.Offset {
			return nil, nil, fmt.Errorf("%d bytes from byte %d on: no such range", l.Size, l.Offset)
		}
		list = append(list, l)
	}
	return nil, nil, errors.New("the list does not end in the label")
}

// formatID writes an id with hyphens, as LVM shows it: 6-4-4-4-4-4-6 characters. Hyphens that are
// there already do not count.
func formatID(id []byte) (string, error) {
	plain := bytes.ReplaceAll(id, []byte("-"), nil)
	if len(plain) != idLen {
		return "", fmt.Errorf("the id %.80q has not %d characters", id, idLen)
	}
	out := make([]byte, 0, idLen+6)
	for i, c := range plain {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '!' && c != '#' {
			return "", fmt.Errorf("the id %.80q has the character %q", id, c)
		}
		if i >= 6 && i%4 == 2 && i < idLen-4 {
			out = append(out, '-')
		}
		out = append(out, c)
	}
	return string(out), nil
}

// readFull reads all of p. A disk that ends before that is an error.
func readFull(ctx context.Context, r block.Reader, p []byte, off int64) error {
	n, err := r.ReadAt(ctx, p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return fmt.Errorf("the disk ends at byte %d, before byte %d: %w", off+int64(n), off+int64(len(p)), io.ErrUnexpectedEOF)
	}
	return err
}

// sectorsToBytes is a number of 512-byte sectors in bytes, at most math.MaxInt64.
func sectorsToBytes(sectors uint64) (int64, bool) {
	return int64(sectors * blockdev.SectorBytes), sectors <= math.MaxInt64/blockdev.SectorBytes
}
