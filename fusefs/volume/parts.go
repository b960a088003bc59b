package volume

import (
	"context"

	"thintree/fusefs/layout"
	"thintree/volfs/probe"
)

// Part is something in a volume, or in another part of it, that is shown as a folder: a partition, a
// volume group, or a logical volume.
type Part struct {
	Name  string // its folder's
	Place layout.Place
}

// maxDepth is how many steps a place may have. Volumes can be nested without end.
const maxDepth = 12

// parts lists the parts at a place, where found was recognised. A group has none of its own kind.
func (c *Contents) parts(ctx context.Context, at layout.Place, found probe.Result) (list []Part, err error) {
	if at.Depth() >= maxDepth {
		return nil, nil
	}
	add := func(s layout.Step) { list = append(list, Part{s.String(), at.Then(s)}) }
	switch {
	case at.IsGroup():
		outer, group := at.Last()
		in, err := c.groups(ctx, outer)
		if err != nil {
			return nil, err
		}
		for _, name := range in.volumes(group.Name) {
			add(layout.Step{Kind: layout.StepVolume, Name: name})
		}
	case isPhysicalVolume(found):
		in, err := c.groups(ctx, at)
		if err != nil {
			return nil, err
		}
		for _, name := range in.names() {
			add(layout.Step{Kind: layout.StepGroup, Name: name})
		}
	default:
		for _, p := range Partitions(found) {
			add(layout.Step{Number: p.Index})
		}
	}
	return list, nil
}

// isPhysicalVolume reports whether an LVM physical volume was found.
func isPhysicalVolume(found probe.Result) bool {
	return found.Kind == probe.KindContainer && found.Signatures[0].Type == "LVM2_member"
}
