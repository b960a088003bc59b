package lvm

import (
	"context"
	"fmt"

	"thintree/thin/block"
	"thintree/volfs/probe"
)

// Device is bytes that may have physical volumes: a disk, a partition, an image, or a volume of
// something else.
type Device struct {
	// Path is its name in errors, and in [meta.Volume].Record.
	Path string
	// In is where its bytes lie.
	In     block.Location
	Reader block.Reader
}

// physical is a physical volume that was found: a device or a partition on it.
type physical struct {
	Device
	offset    int64        // in the device, in bytes
	r         block.Reader // of the physical volume alone
	partition bool         // it is not the whole device
	label     *pvHeader
	areas     []area
	sign      []byte // what changes with each change of its group
}

// area is a metadata area. Either header or err is not nil.
type area struct {
	at     diskLocn
	header *mdaHeader
	err    error
}

// scan finds the physical volumes of a device. damaged are those that cannot be used. err is not
// nil if the device cannot be read.
func (d Device) scan(ctx context.Context) (found []*physical, damaged []error, err error) {
	p, err := d.physical(ctx, 0, d.Reader)
	if p != nil || err != nil {
		if err == nil {
			err = d.checkPartitions(ctx)
		}
		if err != nil {
			return nil, []error{err}, ctx.Err()
		}
		return []*physical{p}, nil, nil
	}
	result, err := probe.Probe(ctx, d.Reader)
	if result.Table == nil {
		if err != nil {
			err = fmt.Errorf("%s: %w", d.Path, err)
		}
		return nil, nil, err
	}
	for _, part := range result.Table.Partitions {
		// As Linux does, a partition is shortened to what there is of it.
		length := min(part.LengthBytes, d.Reader.Size()-part.OffsetBytes)
		if part.Extended || part.OffsetBytes < 0 || length <= 0 {
			continue
		}
		p, err := d.physical(ctx, part.OffsetBytes, block.Section(d.Reader, part.OffsetBytes, length))
		if err != nil {
			damaged = append(damaged, fmt.Errorf("partition %d: %w", part.Index, err))
		}
		if p != nil {
			p.partition = true
			found = append(found, p)
		}
	}
	return found, damaged, ctx.Err()
}

// physical reads the label at an offset, and the headers of the metadata areas. It returns nil if
// there is no label.
func (d Device) physical(ctx context.Context, offset int64, r block.Reader) (*physical, error) {
	label, err := readLabel(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Path, err)
	}
	if label == nil {
		return nil, nil
	}
	p := &physical{Device: d, offset: offset, r: r, label: label}
	p.sign = fmt.Appendf(p.sign, "%d %s", offset, label.PVUUID)
	for _, at := range label.MetadataAreas {
		sector := make([]byte, mdaHeaderSize)
		a := area{at: at}
		if a.err = readFull(ctx, r, sector, int64(at.Offset)); a.err == nil {
			a.header, a.err = parseMDAHeader(sector, at)
		}
		p.areas = append(p.areas, a)
		p.sign = append(p.sign, sector...)
	}
	return p, ctx.Err()
}

// checkPartitions is an error if a device with a label has partitions too. LVM does not use such a
// device as a whole: the label is left from before. But the table may be the older one as well.
func (d Device) checkPartitions(ctx context.Context) error {
	head := make([]byte, 2*labelSize)
	if err := readFull(ctx, d.Reader, head, 0); err != nil {
		return fmt.Errorf("%s: %w", d.Path, err)
	}
	if hasPartitions(head) {
		return fmt.Errorf("%s: it has a label of LVM and a partition table: name the partition that is a disk of LVM's", d.Path)
	}
	return nil
}

// hasPartitions looks for a partition table in the first two sectors, as LVM does.
func hasPartitions(head []byte) bool {
	const entries, entryBytes, kind, sectors, protective = 446, 16, 4, 12, 0xee
	if string(head[510:512]) != "\x55\xaa" {
		return false
	}
	found := false
	for i := range 4 {
		e := head[entries+i*entryBytes:][:entryBytes]
		if e[0]&0x7f != 0 {
			return false // not a boot indicator
		}
		if le.Uint32(e[sectors:]) != 0 {
			found = found || e[kind] != protective || string(head[labelSize:][:8]) == "EFI PART"
		}
	}
	return found
}

// DuplicateError says that two devices have the id of one physical volume: they are copies of each
// other, or two ways to one disk.
type DuplicateError struct {
	ID    string
	Paths [2]string
}

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("%s and %s are the same physical volume, %s: name only one of them", e.Paths[0], e.Paths[1], e.ID)
}

// byID orders physical volumes by their ids. The error is a *[DuplicateError].
func byID(list []*physical) (map[string]*physical, error) {
	found := make(map[string]*physical, len(list))
	for _, p := range list {
		if other := found[p.label.PVUUID]; other != nil {
			return nil, &DuplicateError{p.label.PVUUID, [2]string{other.Path, p.Path}}
		}
		found[p.label.PVUUID] = p
	}
	return found, nil
}

// warning is what is wrong with a device. The error says which one.
type warning struct {
	path string
	err  error
}

// scanAll scans devices. The error is the error of ctx.
func scanAll(ctx context.Context, devices []Device) (found []*physical, warnings []warning, err error) {
	for _, d := range devices {
		list, damaged, err := d.scan(ctx)
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if err != nil {
			damaged = append(damaged, err)
		}
		found = append(found, list...)
		for _, err := range damaged {
			warnings = append(warnings, warning{d.Path, err})
		}
	}
	return found, warnings, nil
}
