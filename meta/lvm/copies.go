package lvm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// copied is the text of a group in one metadata area.
type copied struct {
	group *VolumeGroup
	err   error // why the group cannot be used
	sum   [sha256.Size]byte
	path  string // of the disk
}

// readGroups reads the texts of all groups that disks have. For each group it returns the newest one,
// in order of the groups' names. What is damaged or old is a warning.
func readGroups(ctx context.Context, disks []*physical) (groups []*copied, warnings []warning, err error) {
	var all []*copied
	newest := make(map[string]*copied) // by the group's id
	parsed := make(map[[sha256.Size]byte]*copied)
	for _, p := range disks {
		for _, a := range p.areas {
			c, err := p.readCopy(ctx, a, parsed)
			if err := ctx.Err(); err != nil {
				return nil, nil, err
			}
			if err != nil {
				warnings = append(warnings, warning{p.Path, fmt.Errorf("%s: metadata area at byte %d: %w", p.Path, a.at.Offset, err)})
			}
			if c != nil {
				all = append(all, c)
				newest[c.group.ID] = newer(newest[c.group.ID], c)
			}
		}
	}
	for _, c := range all {
		if n := newest[c.group.ID]; c.group.SeqNo < n.group.SeqNo {
			warnings = append(warnings, warning{c.path, fmt.Errorf("%s: the metadata of group %.80q are older than those on %s (seqno %d, not %d): they are ignored",
				c.path, c.group.Name, n.path, c.group.SeqNo, n.group.SeqNo)})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(newest)) {
		c := newest[id]
		if c.err != nil {
			warnings = append(warnings, warning{c.path, fmt.Errorf("%s: group %.80q: %w", c.path, c.group.Name, c.err)})
			continue
		}
		groups = append(groups, c)
	}
	slices.SortFunc(groups, func(a, b *copied) int {
		return strings.Compare(a.group.Name+"\x00"+a.group.ID, b.group.Name+"\x00"+b.group.ID)
	})
	return groups, warnings, nil
}

// readCopy reads the text of an area. Equal texts are parsed once. It returns nil if the area has
// none that counts, or it is damaged.
func (p *physical) readCopy(ctx context.Context, a area, parsed map[[sha256.Size]byte]*copied) (*copied, error) {
	if a.err != nil {
		return nil, a.err
	}
	if !a.header.hasText() {
		return nil, nil
	}
	metadata, err := a.header.readText(ctx, p.r)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(metadata)
	if c := parsed[sum]; c != nil {
		return &copied{c.group, c.err, sum, p.Path}, nil
	}
	group, err := ParseGroup(metadata)
	if group == nil {
		return nil, err
	}
	c := &copied{group, err, sum, p.Path}
	parsed[sum] = c
	return c, nil
}

// errForked is why a group is not shown that has two states at once.
var errForked = errors.New("two disks have different metadata with the same seqno: it is not known which of them is right")

// newer returns the newer copy. a may be nil.
func newer(a, b *copied) *copied {
	switch {
	case a == nil || a.group.SeqNo < b.group.SeqNo:
		return b
	case a.group.SeqNo > b.group.SeqNo || a.sum == b.sum:
		return a
	}
	return &copied{a.group, fmt.Errorf("%s and %s: %w", a.path, b.path, errForked), a.sum, a.path}
}
