package ext4

import (
	"context"
	"fmt"
)

// survey is what all group descriptors together tell.
type survey struct {
	// claims are where the superblock and its backups, descriptors, bitmaps and inode
	// tables lie; proven those of descriptors whose checksum holds.
	claims, proven claims
	faulty         int   // how many descriptors are damaged
	fault          error // of the first of these
}

// claims are zones, and what of them was claimed more than once.
type claims struct{ zones, twice systemZones }

func (c *claims) add(z zone) {
	if z.first < z.end {
		c.zones = append(c.zones, z)
	}
}

func (c *claims) merge() {
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

// claim adds what a descriptor tells of.
func (s *survey) claim(sb *superblock, d *groupDesc) {
	if d.csumFault != nil {
		s.note(d.csumFault)
	}
	for _, z := range sb.tablesOf(d) {
		s.claims.add(z)
		if d.proven {
			s.proven.add(z)
		}
	}
}

// check verifies that what a descriptor tells of lies where nothing else does. The
// kernel refuses a filesystem in which two things lie in one place. Of two descriptors
// of which a checksum proves one, the other is the false one.
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

// surveyGroups reads all group descriptors.
func (fs *FS) surveyGroups(ctx context.Context) error {
	const maxGroups = 1 << 20 // a filesystem of 128 TiB; in a larger one they would be too many to look through
	if fs.sb.groups > maxGroups {
		return nil
	}
	s := &fs.survey
	most := 1 << 14
	err := fs.eachGroup(ctx, func(g uint32, d *groupDesc, err error) {
		super := fs.sb.superZone(g)
		s.claims.add(super)
		s.proven.add(super)
		if err != nil {
			s.note(err)
		} else {
			s.claim(fs.sb, d)
		}
		if len(s.claims.zones) > most { // now and then, so that they stay few
			s.claims.merge()
			s.proven.merge()
			most = max(most, 2*len(s.claims.zones))
		}
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
	return fs.eachGroup(ctx, func(_ uint32, d *groupDesc, err error) {
		if err != nil || d.csumFault != nil {
			return // noted above
		}
		if err := s.check(fs.sb, d); err != nil {
			s.note(err)
		}
	})
}

// eachGroup calls visit for each group with its descriptor, or with why that cannot be
// told.
func (fs *FS) eachGroup(ctx context.Context, visit func(g uint32, d *groupDesc, err error)) error {
	sb := fs.sb
	var block []byte
	var failed error
	for g := range sb.groups {
		if g%sb.descPerBlock == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			block, failed = fs.descriptors(ctx, g/sb.descPerBlock)
		}
		if failed != nil {
			visit(g, nil, failed)
			continue
		}
		d, err := sb.parseGroupDesc(g, block)
		visit(g, d, err)
	}
	return nil
}
