package tree

import (
	"context"
	"fmt"

	"github.com/dustin/go-humanize"

	"thintree/volfs/probe"
)

// tooShort says what does not fit into a root that has so many bytes, of what was found
// there: as if it had been cut off. It is "" if all of it does.
func (r *fsRoot) tooShort(found probe.Result, has int64) string {
	const beyond = ": what lies beyond cannot be read"
	where := "volume"
	if r.part != 0 {
		where = "partition"
	}
	if found.Kind == probe.KindFilesystem && found.Signatures[0].SizeBytes > has {
		want, got := lengths(found.Signatures[0].SizeBytes, has)
		return fmt.Sprintf("its %s is %s long, and the %s %s%s", found.Signatures[0].Type, want, where, got, beyond)
	}
	for _, p := range partitions(found) {
		if end := p.OffsetBytes + p.LengthBytes; end > has {
			want, got := lengths(end, has)
			return fmt.Sprintf("its partition p%d ends at %s, and the %s at %s%s", p.Index, want, where, got, beyond)
		}
	}
	return ""
}

// lengths are two lengths as people read them, to the byte if they would read the same.
func lengths(a, b int64) (string, string) {
	x, y := humanize.IBytes(uint64(a)), humanize.IBytes(uint64(b))
	if x == y {
		return fmt.Sprint(a, " bytes"), fmt.Sprint(b)
	}
	return x, y
}

// room is how many bytes of the volume (part 0) or of a partition of it are there.
func (c *content) room(part int) int64 {
	at, err := c.extent(part)
	if err != nil {
		return 0
	}
	return max(0, min(at.length, c.device.Size()-at.offset))
}

// tellShort logs once that a root is too short, if it is.
func (t *Tree) tellShort(r *fsRoot, why string) {
	if why != "" && !r.toldShort.Swap(true) {
		t.log.Warn("not all of a volume is there", "volume", r.String(), "error", why)
	}
}

// shortPartition says which partition of a volume is too short for what it holds, of
// those that lie within the volume. It looks at the first bytes of each, once.
func (t *Tree) shortPartition(ctx context.Context, v *volume, p *peek) string {
	if why := p.shortPart.Load(); why != nil {
		return *why
	}
	why := ""
	err := v.glimpse(ctx, func(open func(int64) (device, error)) error {
		why = ""
		c, err := t.readContent(ctx, v, open)
		if err != nil {
			return err
		}
		defer c.Close()
		for _, part := range partitions(p.found) {
			r := t.partition(v, part.Index)
			at, err := c.bytes(part.Index)
			if err != nil {
				continue
			}
			// What cannot be read of it is told when somebody walks in.
			found, _ := probe.Probe(ctx, at)
			if text := r.tooShort(found, c.room(part.Index)); text != "" && why == "" {
				why = fmt.Sprintf("p%d: %s", part.Index, text)
				t.tellShort(r, text)
			}
		}
		return nil
	})
	if err == nil {
		p.shortPart.Store(&why)
	}
	return why
}

// engineFor is engine for what was found in so much room: the kernel refuses to mount
// what does not fit, and this process need not.
func (t *Tree) engineFor(ctx context.Context, r *fsRoot, found probe.Result, room int64) (choice, error) {
	sig := found.Signatures[0]
	c, err := t.engine(ctx, r, sig.Type)
	if err == nil && c.engine == EngineKernel && c.live == "" && readsDirectly(sig.Type) && sig.SizeBytes > room {
		c.engine, c.why = EngineDirect, "the kernel refuses a filesystem that is longer than what it lies on"
	}
	return c, err
}
