package volume

import (
	"context"
	"fmt"

	"github.com/dustin/go-humanize"

	"thintree/fusefs/layout"
	"thintree/volfs/probe"
)

// tooShort says which of the things found does not fit into a root that is has bytes long,
// because the volume was cut off. It is "" if everything fits.
func (r *Root) tooShort(found probe.Result, has int64) string {
	const beyond = ": what lies beyond cannot be read"
	where := "volume"
	if !r.Place.IsWhole() {
		where = "partition"
	}
	if found.Kind == probe.KindFilesystem && found.Signatures[0].SizeBytes > has {
		want, got := lengths(found.Signatures[0].SizeBytes, has)
		return fmt.Sprintf("its %s is %s long, but the %s only %s%s", found.Signatures[0].Type, want, where, got, beyond)
	}
	for _, p := range Partitions(found) {
		if end := p.OffsetBytes + p.LengthBytes; end > has {
			want, got := lengths(end, has)
			return fmt.Sprintf("its partition p%d ends at %s, but the %s at %s%s", p.Index, want, where, got, beyond)
		}
	}
	return ""
}

// lengths formats two lengths for people. It uses exact bytes if they would look the same
// otherwise.
func lengths(a, b int64) (string, string) {
	x, y := humanize.IBytes(uint64(a)), humanize.IBytes(uint64(b))
	if x == y {
		return fmt.Sprint(a, " bytes"), fmt.Sprint(b)
	}
	return x, y
}

// tellShort logs why a root is too short. It does so once for each root, and not if why is "".
func (o *Opener) tellShort(r *Root, why string) {
	if why != "" && !r.toldShort.Swap(true) {
		o.Log.Warn("not all of a volume is there", "volume", r.String(), "error", why)
	}
}

// shortPartition names the first partition of a volume that is too short for its filesystem,
// and says why. It is "" if there is none. It reads the first bytes of each partition, and
// keeps the answer in the peek.
func (o *Opener) shortPartition(ctx context.Context, v *Volume, p *Peek) string {
	if why := p.shortPart.Load(); why != nil {
		return *why
	}
	why := ""
	err := v.peek(ctx, func(open func(int64) (device, error)) error {
		why = ""
		c, err := o.readContents(ctx, v, open)
		if err != nil {
			return err
		}
		defer c.Close()
		for _, part := range Partitions(p.Found) {
			r := v.At(layout.Place{}.Partition(part.Index))
			at, err := c.bytes(ctx, r.Place)
			if err != nil {
				continue
			}
			room, err := c.room(ctx, r.Place)
			if err != nil {
				continue
			}
			// An error is left to callers that open the partition.
			found, _ := probe.Probe(ctx, at)
			if text := r.tooShort(found, room); text != "" && why == "" {
				why = fmt.Sprintf("p%d: %s", part.Index, text)
				o.tellShort(r, text)
			}
		}
		return nil
	})
	if err == nil {
		p.shortPart.Store(&why)
	}
	return why
}

// choose chooses the engine for a filesystem that was found, of which room bytes lie within
// the volume. The kernel refuses to mount a filesystem that does not fit; the direct engine
// reads the part that is there.
func (o *Opener) choose(ctx context.Context, r *Root, found probe.Result, room int64) (choice, error) {
	sig := found.Signatures[0]
	c, err := o.engine(ctx, r, sig.Type)
	if err == nil && c.engine == EngineKernel && c.live == "" && o.readsDirectly(sig.Type) && sig.SizeBytes > room {
		c.engine, c.why = EngineDirect, "the kernel refuses a filesystem that is longer than what it lies on"
	}
	return c, err
}
