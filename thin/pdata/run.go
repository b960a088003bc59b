package pdata

// Run is a run of virtual blocks that are mapped to contiguous data blocks, or that are all not
// mapped.
type Run struct {
	Virtual uint64 // the first virtual block
	Length  uint64 // in blocks
	Mapped  bool
	Data    uint64 // the data block that Virtual is mapped to, 0 if Mapped is false
	Time    uint32 // the pool's Time when Virtual was mapped
}

// end is the virtual block after the run.
func (r *Run) end() uint64 { return r.Virtual + r.Length }

// extend adds a block to a mapped run if it follows, and reports whether it does.
func (r *Run) extend(next Run) bool {
	if next.Virtual != r.end() || next.Data != r.Data+r.Length || next.Time != r.Time {
		return false
	}
	r.Length++
	return true
}

func parseMapping(virtual uint64, p []byte) Run {
	v := le.Uint64(p)
	return Run{Virtual: virtual, Length: 1, Mapped: true, Data: v >> 24, Time: uint32(v & (1<<24 - 1))}
}
