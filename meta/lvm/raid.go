package lvm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
)

// raidSuperblock is what a raid1 knows of itself (struct dm_raid_superblock, in the kernel's
// drivers/md/dm-raid.c). It has no checksum. Each leg has one, on a volume of its own.
type raidSuperblock struct {
	NumDevices, ArrayPosition uint32
	// Events counts the changes of the array. A leg with fewer than others has missed some.
	Events uint64
	// FailedDevices has a bit for each leg that has failed.
	FailedDevices uint64
	// DiskRecoveryOffset is how far this leg is a copy of the others, in sectors. It is the
	// highest number if all of it is.
	DiskRecoveryOffset uint64
	Reshaping          bool
}

const (
	dmRAIDMagic = 0x64526d44 // DM_RAID_MAGIC

	// maxLegs is how many legs FailedDevices has bits for. LVM has at most 10.
	maxLegs = 64

	// maxSuperblocks bounds how many superblocks of a group are read, now and for each stamp.
	maxSuperblocks = 1 << 14
)

func parseRAIDSuperblock(p []byte) (*raidSuperblock, error) {
	const (
		magic, compat, devices, position, events, failed, recovery, level, flags, dataOffset, incompat = 0, 4, 8, 12, 16, 24, 32, 48, 60, 96, 144

		supportsV190  = 1 // a bit in compat: there is more than the level
		reshapeActive = 1 // a bit in flags
	)
	if le.Uint32(p[magic:]) != dmRAIDMagic {
		return nil, errors.New("no superblock of a raid: it was never active")
	}
	if n := le.Uint32(p[level:]); n != 1 {
		return nil, fmt.Errorf("the superblock of a raid%d", n)
	}
	sb := &raidSuperblock{
		NumDevices: le.Uint32(p[devices:]), ArrayPosition: le.Uint32(p[position:]), Events: le.Uint64(p[events:]),
		FailedDevices: le.Uint64(p[failed:]), DiskRecoveryOffset: le.Uint64(p[recovery:]),
	}
	if le.Uint32(p[compat:])&supportsV190 != 0 {
		if n := le.Uint32(p[incompat:]); n != 0 {
			return nil, fmt.Errorf("the superblock has incompat_features %#x: it needs a newer thintree", n)
		}
		sb.Reshaping = le.Uint32(p[flags:])&reshapeActive != 0 || le.Uint64(p[dataOffset:]) != 0
	}
	return sb, nil
}

// legError says why no leg of a raid1 is sure to be right.
type legError struct {
	why []error // of each leg
}

func (e *legError) Error() string {
	return fmt.Sprintf("raid1: none of its copies is sure to be right: %v", errors.Join(e.why...))
}

func (e *legError) Unwrap() []error { return e.why }

// leg chooses the leg of a raid1 that the kernel would read: of those that are whole and have not
// failed the first one, which is also the one that the others are made equal to if they are not.
// Legs that are marked for writing come last, as in the kernel.
func (l *locator) leg(ctx context.Context, s *Segment, level int) (Area, error) {
	if len(s.Areas) > maxLegs {
		return Area{}, fmt.Errorf("a raid1 with %d copies", len(s.Areas))
	}
	superblocks, why := make([]*raidSuperblock, len(s.Areas)), make([]error, len(s.Areas))
	newest := uint64(0)
	for i, a := range s.Areas {
		if superblocks[i], why[i] = l.superblock(ctx, s, i); why[i] != nil {
			why[i] = fmt.Errorf("%.80s: %w", a.Meta, why[i])
			continue
		}
		newest = max(newest, superblocks[i].Events)
	}
	failed := uint64(0)
	for _, sb := range superblocks {
		if sb != nil && sb.Events == newest {
			failed |= sb.FailedDevices
		}
	}
	chosen := -1
	mostly := false // the chosen one is marked for writing
	for i, a := range s.Areas {
		if why[i] != nil {
			continue
		}
		v, err := l.logical(a.Name)
		if err == nil {
			_, err = l.locate(ctx, v, level+1)
		}
		if err == nil {
			err = superblocks[i].check(newest, failed&(1<<i) != 0, slices.Contains(v.Status, statusRebuild))
		}
		if err != nil {
			why[i] = fmt.Errorf("%.80s: %w", a.Name, err)
			continue
		}
		if writeMostly := slices.Contains(v.Status, statusWriteMostly); chosen < 0 || mostly && !writeMostly {
			chosen, mostly = i, writeMostly
		}
	}
	if chosen < 0 {
		return Area{}, errors.Join(ctx.Err(), &legError{why})
	}
	return s.Areas[chosen], nil
}

// check says why a leg is not right. newest is the highest Events of all legs.
func (sb *raidSuperblock) check(newest uint64, failed, rebuild bool) error {
	switch {
	case sb.Reshaping:
		return errors.New("its layout is being changed")
	case failed:
		return errors.New("it has failed")
	case sb.Events != newest:
		return fmt.Errorf("it is old: %d changes, others have seen %d", sb.Events, newest)
	case rebuild:
		return errors.New("it is to be made anew")
	case sb.DiskRecoveryOffset != math.MaxUint64:
		return fmt.Errorf("it is a copy only up to sector %d", sb.DiskRecoveryOffset)
	}
	return nil
}

// superblock reads the superblock of a leg.
func (l *locator) superblock(ctx context.Context, s *Segment, leg int) (*raidSuperblock, error) {
	v, err := l.logical(s.Areas[leg].Meta)
	if err != nil {
		return nil, err
	}
	if len(l.sectors) == maxSuperblocks {
		return nil, fmt.Errorf("the group has more than %d superblocks", maxSuperblocks)
	}
	first := &v.Segments[0]
	if (first.Type != typeStriped && first.Type != typeLinear) || len(first.Areas) != 1 || len(first.Flags) > 0 {
		return nil, fmt.Errorf("its superblock is on a volume of type %.80s", first.name())
	}
	pv := l.pvs[first.Areas[0].Name]
	if pv == nil {
		return nil, errors.New("its superblock is not on a disk")
	}
	p, err := l.area(ctx, first.Areas[0], 1, 0)
	if err != nil {
		return nil, err
	}
	at := sector{l.disks[pv.ID], p.Offset - l.disks[pv.ID].offset}
	l.sectors = append(l.sectors, at)
	block := make([]byte, labelSize)
	if err := readFull(ctx, at.disk.r, block, at.offset); err != nil {
		return nil, err
	}
	sb, err := parseRAIDSuperblock(block)
	if err != nil {
		return nil, err
	}
	if sb.ArrayPosition != uint32(leg) || sb.NumDevices != uint32(len(s.Areas)) {
		return nil, fmt.Errorf("the superblock is of copy %d of %d, not %d of %d", sb.ArrayPosition, sb.NumDevices, leg, len(s.Areas))
	}
	return sb, nil
}
