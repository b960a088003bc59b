package lvm

import (
	"context"
	"errors"
	"slices"
)

// Historian is a source that knows former texts of its volume groups.
type Historian interface {
	// Generations lists the texts in the metadata areas of its disks, the newest first. The error
	// says why there may be more.
	Generations(ctx context.Context) ([]Generation, error)
}

var _ Historian = (*source)(nil)

// Generations is as in [Historian].
func (s *source) Generations(ctx context.Context) ([]Generation, error) {
	return await(ctx, func() ([]Generation, error) {
		paths := s.known().paths
		devices, failed, closeAll, err := openAll(ctx, paths)
		defer closeAll()
		if err != nil {
			return nil, err
		}
		var list []Generation
		seen := make(map[Generation]bool) // each area has a copy of the text
		for _, d := range devices {
			some, warnings, err := Generations(ctx, d)
			if err != nil {
				return nil, err
			}
			failed = append(failed, warnings...)
			for _, g := range some {
				g.Offset = 0
				if !seen[g] && (s.group == "" || s.group == g.Group || s.group == g.ID) {
					seen[g] = true
					list = append(list, g)
				}
			}
		}
		slices.SortStableFunc(list, func(a, b Generation) int { return int(b.SeqNo) - int(a.SeqNo) })
		return list, errors.Join(failed...)
	})
}

// ParseGeneration reads a text of a volume group, as LVM keeps it in /etc/lvm/backup and
// /etc/lvm/archive. The error is that of [ParseGroup].
func ParseGeneration(text []byte) (Generation, error) {
	g, err := ParseGroup(text)
	if g == nil {
		return Generation{}, err
	}
	return Generation{Group: g.Name, ID: g.ID, SeqNo: g.SeqNo, CreationTime: g.CreationTime, Description: g.Description}, nil
}
