package ext4

import (
	"context"
	"fmt"
)

// survey is what all group descriptors together say.
type survey struct {
	// claims are where the superblock and its backups, descriptors, bitmaps and inode
	// tables lie. proven are those of descriptors whose checksum holds.
	claims, proven claims
	faulty         int   // how many descriptors are damaged
	fault          error // of the first of these
}

// claims are zones, and the parts of them that are claimed more than once.
type claims struct {
	zones, twice systemZones
	// last is the last zone of each kind. It is not in zones yet: what the next group
	// has of that kind often follows it.
	last [4]zone
}

// The kinds of zones.
const (
	superZones = iota
	tableZones // the first of the three that tablesOf returns
)

func (c *claims) add(kind int, z zone) {
	if z.first >= z.end {
		return
	}
	last := &c.last[kind]
	if z.first == last.end {
		last.end = z.end
		return
	}
	c.flush(last)
	*last = z
}

func (c *claims) flush(last *zone) {
	if last.first < last.end {
		c.zones = append(c.zones, *last)
	}
	*last = zone{}
}

func (c *claims) merge() {
	for kind := range c.last {
		c.flush(&c.last[kind])
	}
	var twice systemZones
	c.zones, twice = merged(c.zones)
	c.twice, _ = merged(append(c.twice, twice...))
}

// problem says in words what is wrong with the descriptors.
func (s *survey) problem(groups uint32) string {
	if s.faulty == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d group descriptors are damaged, among them: %v", s.faulty, groups, s.fault)
}

func (s *survey) note(fault error) {
	if s.faulty++; s.fault == nil {
		s.fault = fault
	}
}

// claim adds the zones that a descriptor names.
func (s *survey) claim(sb *superblock, d *groupDesc) {
	if d.csumFault != nil {
		s.note(d.csumFault)
	}
	for i, z := range sb.tablesOf(d) {
		s.claims.add(tableZones+i, z)
		if d.proven {
			s.proven.add(tableZones+i, z)
		}
	}
}

// check verifies that the zones that a descriptor names are claimed by nothing else. The
// kernel refuses a filesystem in which two things lie in one place. If only one of two
// descriptors is proven by its checksum, the other one is false.
func (s *survey) check(sb *superblock, d *groupDesc) error {
	twice := s.claims.twice
	if d.proven {
		twice = s.proven.twice
	}
	for _, z := range sb.tablesOf(d) {
		if twice.overlap(z.first, z.end-z.first) {
			return descDamage(d.number, "blocks %d to %d are claimed twice", z.first, z.end-1)
		}
	}
	return nil
}

// surveyGroups reads all group descriptors. No inode can be looked up before: a
// descriptor is good only if no other one claims the same blocks.
func (fs *FS) surveyGroups(ctx context.Context) error {
	const maxGroups = 1 << 20 // of a filesystem of 128 TiB; reading more would take too long
	if fs.sb.groups > maxGroups {
		return nil
	}
	s := &fs.survey
	most := 1 << 14
	err := fs.eachGroup(ctx, func(g uint32, d *groupDesc, err error) error {
		super := fs.sb.superZone(g)
		s.claims.add(superZones, super)
		s.proven.add(superZones, super)
		if err != nil {
			s.note(err)
		} else {
			s.claim(fs.sb, d)
		}
		if len(s.claims.zones) > most { // keeps memory bounded
			s.claims.merge()
			s.proven.merge()
			most = max(most, 2*len(s.claims.zones))
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.claims.merge()
	s.proven.merge()
	s.proven.zones = nil
	if len(s.claims.twice) == 0 {
		return nil
	}
	return fs.eachGroup(ctx, func(_ uint32, d *groupDesc, err error) error {
		if err != nil || d.csumFault != nil {
			return nil // noted above
		}
		if err := s.check(fs.sb, d); err != nil {
			s.note(err)
		}
		return nil
	})
}

// eachGroup calls visit for each group with its descriptor, or with the reason why that
// cannot be read. It ends with the first error that visit returns. The descriptor is
// overwritten after each call.
func (fs *FS) eachGroup(ctx context.Context, visit func(g uint32, d *groupDesc, err error) error) error {
	sb := fs.sb
	buf := tableRuns.Get().(*[tableRun]byte)
	defer tableRuns.Put(buf)
	var run []byte // descriptor blocks that were read together
	whole := true  // no run has come short; the blocks after one that has are read singly
	var block []byte
	var failed error
	d := new(groupDesc)
	for g := range sb.groups {
		if g%sb.descPerBlock == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := g / sb.descPerBlock
			if len(run) == 0 && whole {
				run, whole = fs.descriptorRun(ctx, n, buf[:])
			}
			if len(run) > 0 {
				block, failed, run = run[:sb.blockSize], nil, run[sb.blockSize:]
			} else {
				block, failed = fs.descriptors(ctx, n)
			}
		}
		err := failed
		if err == nil {
			err = sb.parseGroupDesc(d, g, block)
		}
		if err := visit(g, d, err); err != nil {
			return err
		}
	}
	return nil
}

// descriptorRun reads the descriptor blocks that lie together from the n-th on into buf,
// as far as there is room. It returns those that could be read, and none if only one
// lies there. whole is false if some could not be read.
func (fs *FS) descriptorRun(ctx context.Context, n uint32, buf []byte) (blocks []byte, whole bool) {
	sb := fs.sb
	first := sb.descriptorBlock(n)
	room := min(uint64(len(buf)/sb.blockSize), uint64((sb.groups-1)/sb.descPerBlock-n)+1)
	count := uint64(1)
	for count < room && sb.descriptorBlock(n+uint32(count)) == first+count {
		count++
	}
	if count == 1 || first+count > sb.blocksCount {
		return nil, true
	}
	p := buf[:int(count)*sb.blockSize]
	read, _ := fs.vol.ReadAt(ctx, p, int64(first<<sb.blockBits))
	return p[:read&^(sb.blockSize-1)], read == len(p)
}
