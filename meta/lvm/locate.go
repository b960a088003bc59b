package lvm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"thintree/thin/block"
)

// locator finds where the logical volumes of a group lie.
type locator struct {
	group *VolumeGroup
	disks map[string]*physical // by id
	pvs   map[string]*PhysicalVolume
	lvs   map[string]*LogicalVolume
	found map[string]located // by name; also those that are being located
	// sectors are the superblocks that were read: what was found depends on them.
	sectors []sector
}

type located struct {
	at  block.Location
	err error
}

// sector is where 512 bytes of a disk lie. The offset is in bytes.
type sector struct {
	disk   *physical
	offset int64
}

var (
	errCycle = errors.New("it is a part of itself")
	errMoved = errors.New("pvmove is copying its extents to other places: it can be read when that is done")
	errDeep  = fmt.Errorf("volumes in volumes: more than %d levels", maxLevels)
)

// maxLevels bounds how deep volumes lie in each other. A mirrored pool has three levels. A
// block.Location has a bound of its own, which is lower.
const maxLevels = 32

func newLocator(g *VolumeGroup, disks map[string]*physical) *locator {
	l := &locator{
		group: g, disks: disks, found: make(map[string]located),
		pvs: make(map[string]*PhysicalVolume, len(g.PhysicalVolumes)), lvs: make(map[string]*LogicalVolume, len(g.LogicalVolumes)),
	}
	for i := range g.PhysicalVolumes {
		l.pvs[g.PhysicalVolumes[i].Name] = &g.PhysicalVolumes[i]
	}
	for i := range g.LogicalVolumes {
		l.lvs[g.LogicalVolumes[i].Name] = &g.LogicalVolumes[i]
	}
	return l
}

// bytes is the length of a number of extents.
func (l *locator) bytes(extents uint64) (int64, error) {
	size, ok := sectorsToBytes(uint64(l.group.ExtentSize))
	if !ok || extents > math.MaxInt64/uint64(size) {
		return 0, fmt.Errorf("%d extents of %d sectors: too many bytes", extents, l.group.ExtentSize)
	}
	return int64(extents) * size, nil
}

// logical returns a volume by its name.
func (l *locator) logical(name string) (*LogicalVolume, error) {
	v := l.lvs[name]
	switch {
	case v == nil:
		return nil, fmt.Errorf("the group has no volume %.80q", name)
	case v.Err != nil:
		return nil, fmt.Errorf("%.80s: %w", name, v.Err)
	}
	return v, nil
}

// locate finds where a logical volume lies.
func (l *locator) locate(ctx context.Context, v *LogicalVolume, level int) (block.Location, error) {
	if f, ok := l.found[v.Name]; ok {
		return f.at, f.err
	}
	l.found[v.Name] = located{err: errCycle} // until it is found
	at, err := l.locateNew(ctx, v, level)
	l.found[v.Name] = located{at, err}
	return at, err
}

func (l *locator) locateNew(ctx context.Context, v *LogicalVolume, level int) (block.Location, error) {
	if err := errors.Join(v.Err, ctx.Err()); err != nil {
		return block.Location{}, err
	}
	if level > maxLevels {
		return block.Location{}, errDeep
	}
	if slices.Contains(v.Status, statusPVMove) {
		return block.Location{}, errMoved
	}
	var list []block.Piece
	for i := range v.Segments {
		pieces, err := l.segment(ctx, &v.Segments[i], level)
		if err != nil {
			return block.Location{}, err
		}
		list = appendPiece(list, pieces)
	}
	if isStriped(v) {
		return list[0].In, nil // the piece is the whole of it
	}
	return block.Linear(list...)
}

// isStriped reports whether the volume is a single striped segment, whose Location is a whole.
func isStriped(v *LogicalVolume) bool {
	return len(v.Segments) == 1 && v.Segments[0].StripeSize != 0
}

// appendPiece appends a piece. If it follows the last one, they become one.
func appendPiece(list []block.Piece, p block.Piece) []block.Piece {
	if n := len(list) - 1; n >= 0 && list[n].In == p.In && list[n].Offset+list[n].Length == p.Offset {
		list[n].Length += p.Length
		return list
	}
	return append(list, p)
}

// segment finds where a segment lies.
func (l *locator) segment(ctx context.Context, s *Segment, level int) (block.Piece, error) {
	if flag := s.unknownFlag(); flag != "" {
		return block.Piece{}, &TypeError{s.Type + "+" + flag, "a flag that is not known: it needs a newer thintree"}
	}
	switch s.Type {
	case typeLinear, typeStriped, typeRAID0, typeRAID0Meta:
		if s.Reshaped {
			return block.Piece{}, &TypeError{s.Type, "its layout is being changed"}
		}
		return l.stripes(ctx, s, level)
	case typeRAID1:
		if s.Reshaped {
			return block.Piece{}, &TypeError{s.Type, "its layout is being changed"}
		}
		a, err := l.leg(ctx, s, level)
		if err != nil {
			return block.Piece{}, err
		}
		return l.area(ctx, a, uint64(s.ExtentCount), level)
	}
	return block.Piece{}, &TypeError{s.Type, whyNot(s.Type)}
}

// stripes finds where a segment lies whose areas take turns.
func (l *locator) stripes(ctx context.Context, s *Segment, level int) (block.Piece, error) {
	n := uint64(len(s.Areas))
	if n == 1 {
		return l.area(ctx, s.Areas[0], uint64(s.ExtentCount), level)
	}
	if uint64(s.ExtentCount)%n != 0 {
		return block.Piece{}, fmt.Errorf("%d extents cannot be spread over %d stripes", s.ExtentCount, n)
	}
	list := make([]block.Piece, n)
	for i, a := range s.Areas {
		var err error
		if list[i], err = l.area(ctx, a, uint64(s.ExtentCount)/n, level); err != nil {
			return block.Piece{}, err
		}
	}
	stripe, _ := sectorsToBytes(uint64(s.StripeSize))
	at, err := block.Striped(stripe, list...)
	if err != nil {
		return block.Piece{}, err
	}
	length, err := l.bytes(uint64(s.ExtentCount))
	return block.Piece{In: at, Length: length}, err
}

// area finds where extents of a disk or a volume lie. As in LVM, a disk's name comes first.
func (l *locator) area(ctx context.Context, a Area, extents uint64, level int) (block.Piece, error) {
	length, err := l.bytes(extents)
	if err != nil {
		return block.Piece{}, err
	}
	offset, err := l.bytes(uint64(a.Extent))
	if err != nil {
		return block.Piece{}, err
	}
	if pv := l.pvs[a.Name]; pv != nil {
		disk, start, err := l.disk(pv, uint64(a.Extent)+extents)
		if err != nil {
			return block.Piece{}, err
		}
		if offset > math.MaxInt64-start || length > math.MaxInt64-start-offset {
			return block.Piece{}, fmt.Errorf("extent %d of %.80s is too far on", a.Extent, pv.Name)
		}
		if end := start + offset + length - disk.offset; disk.partition && end > disk.r.Size() {
			return block.Piece{}, fmt.Errorf("it ends at byte %d of a partition of %s, which has %d bytes", end, disk.Path, disk.r.Size())
		}
		return block.Piece{In: disk.In, Offset: start + offset, Length: length}, nil
	}
	v, err := l.logical(a.Name)
	if err != nil {
		return block.Piece{}, err
	}
	if uint64(a.Extent)+extents > v.extents() {
		return block.Piece{}, fmt.Errorf("%d extents from extent %d on of %.80s, which has %d", extents, a.Extent, v.Name, v.extents())
	}
	at, err := l.locate(ctx, v, level+1)
	if err != nil {
		return block.Piece{}, fmt.Errorf("%.80s: %w", v.Name, err)
	}
	return block.Piece{In: at, Offset: offset, Length: length}, nil
}

// disk finds a disk with at least so many extents. start is where the first one begins on its
// device, in bytes.
func (l *locator) disk(pv *PhysicalVolume, extents uint64) (disk *physical, start int64, err error) {
	disk = l.disks[pv.ID]
	if disk == nil || pv.isMissing() {
		return nil, 0, &MissingError{ID: pv.ID, Device: pv.Device, Stale: disk != nil}
	}
	if extents > uint64(pv.PECount) {
		return nil, 0, fmt.Errorf("it ends at extent %d of %.80s, which has %d", extents, pv.Name, pv.PECount)
	}
	begin, ok := sectorsToBytes(pv.PEStart)
	if !ok || begin > math.MaxInt64-disk.offset {
		return nil, 0, fmt.Errorf("the extents of %.80s begin at sector %d", pv.Name, pv.PEStart)
	}
	return disk, disk.offset + begin, nil
}
