package dmtest

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Mode is the mode of a pool, as its status shows it; NeedsCheck shows as two words.
type Mode string

const (
	ReadWrite      Mode = "rw"
	ReadOnly       Mode = "ro"
	OutOfDataSpace Mode = "out_of_data_space"
	Failed         Mode = "Fail"
	NeedsCheck     Mode = "ro needs_check" // stored on the metadata device
)

const (
	metadataBlockSectors = 8
	minBlockSectors      = 128
	maxBlockSectors      = 1 << 21
	defaultMetadata      = 4096 * metadataBlockSectors // sectors, if SetDisk was not called
)

// pool is a loaded pool. The active and the inactive table of its device share it.
type pool struct {
	owner          *device
	metadata       *metadata
	metadataNumber uint64
	dataNumber     uint64
	tables         int // the tables that use it: of its device and of thin devices

	bound     *poolTarget // the target in the active table, nil before the first resume
	mode      Mode
	discards  bool // whether the first table allows discards
	suspended bool
	lowWater  bool          // the low water event has been sent
	active    []*thinTarget // in the order in which they were loaded
}

// features are the optional arguments of a pool's table.
type features struct {
	skipZeroing, ignoreDiscard, noPassdown, readOnly, errorIfNoSpace bool
}

type feature struct {
	word string
	set  *bool
}

func (f *features) all() []feature {
	return []feature{
		{"skip_block_zeroing", &f.skipZeroing},
		{"ignore_discard", &f.ignoreDiscard},
		{"no_discard_passdown", &f.noPassdown},
		{"read_only", &f.readOnly},
		{"error_if_no_space", &f.errorIfNoSpace},
	}
}

func parseFeatures(words []string) (f features, err error) {
	if len(words) == 0 {
		return f, nil
	}
	count, err := strconv.ParseUint(words[0], 10, 32)
	if err != nil || count > 4 || int(count) > len(words)-1 {
		return f, unix.EINVAL
	}
next:
	for _, w := range words[1 : 1+count] {
		for _, known := range f.all() {
			if strings.EqualFold(w, known.word) {
				*known.set = true
				continue next
			}
		}
		return f, unix.EINVAL
	}
	return f, nil
}

// poolTarget is a thin-pool target in a table.
type poolTarget struct {
	pool     *pool
	kernel   *Kernel
	length   uint64 // sectors
	lowWater uint64 // blocks
	mode     Mode   // the mode that the pool gets when the table becomes active
	features
}

func makePool(k *Kernel, t *table, s spec, words []string) (target, error) {
	if len(words) < 4 || words[0] == words[1] {
		return nil, unix.EINVAL
	}
	f, err := parseFeatures(words[4:])
	if err != nil {
		return nil, err
	}
	metadataNumber, err := k.open(t, words[0])
	if err != nil {
		return nil, err
	}
	dataNumber, err := k.open(t, words[1])
	if err != nil {
		return nil, err
	}
	blockSectors, err := strconv.ParseUint(words[2], 10, 64)
	lowWater, err2 := strconv.ParseUint(words[3], 10, 64)
	if err != nil || err2 != nil || blockSectors < minBlockSectors || blockSectors > maxBlockSectors || blockSectors%minBlockSectors != 0 {
		return nil, unix.EINVAL
	}
	p, err := k.findPool(t.device, metadataNumber, dataNumber, blockSectors, f.readOnly)
	if err != nil {
		return nil, err
	}
	if p.tables > 0 && p.discards == f.ignoreDiscard {
		return nil, unix.EINVAL
	}
	p.tables++
	target := &poolTarget{pool: p, kernel: k, length: s.length, lowWater: lowWater, mode: ReadWrite, features: f}
	if f.readOnly {
		target.mode = ReadOnly
	}
	return target, nil
}

// findPool is __pool_find of dm-thin.c.
func (k *Kernel) findPool(owner *device, metadataNumber, dataNumber, blockSectors uint64, readOnly bool) (*pool, error) {
	if p := k.pools[metadataNumber]; p != nil {
		if p.owner != owner || p.dataNumber != dataNumber {
			return nil, unix.EBUSY
		}
		return p, nil
	}
	for _, p := range k.pools {
		if p.owner == owner {
			return nil, unix.EINVAL
		}
	}
	m := k.metadata[metadataNumber]
	switch {
	case m == nil && readOnly:
		return nil, unix.EPERM
	case m == nil:
		m = newMetadata(blockSectors)
		k.metadata[metadataNumber] = m
	case m.blockSectors != blockSectors:
		return nil, unix.EINVAL
	}
	p := &pool{
		owner: owner, metadata: m, metadataNumber: metadataNumber, dataNumber: dataNumber,
		mode: ReadWrite, discards: true, suspended: true,
	}
	k.pools[metadataNumber] = p
	return p, nil
}

func (k *Kernel) put(p *pool) {
	if p.tables--; p.tables == 0 {
		delete(k.pools, p.metadataNumber)
	}
}

func (t *poolTarget) close(k *Kernel) {
	if t.pool.bound == t {
		t.pool.bound = nil
	}
	k.put(t.pool)
}

func (t *poolTarget) needs() (uint64, uint64, bool) { return t.pool.dataNumber, t.length, true }

// preresume binds the pool to this table, and grows it to the table's length.
func (t *poolTarget) preresume(k *Kernel) error {
	p := t.pool
	p.bound, p.discards = t, !t.ignoreDiscard
	k.setMode(p, t.mode)
	blocks := t.length / p.metadata.blockSectors
	switch {
	case p.mode == Failed:
	case blocks < p.metadata.dataBlocks:
		return unix.EINVAL
	case !p.metadata.needsCheck:
		p.metadata.dataBlocks = blocks
		k.checkSpace(p)
	}
	return nil
}

func (t *poolTarget) resume(*Kernel) {
	for _, thin := range t.pool.active {
		thin.owner.beneath = false
	}
	t.pool.suspended, t.pool.lowWater = false, false
}

func (t *poolTarget) suspend(*Kernel) {
	t.pool.suspended = true
	for _, thin := range t.pool.active {
		thin.owner.beneath = true
	}
}

// setMode is set_pool_mode of dm-thin.c.
func (k *Kernel) setMode(p *pool, mode Mode) {
	old := p.mode
	switch {
	case old == Failed:
		mode = old
	case mode == NeedsCheck:
		p.metadata.needsCheck = true
		mode = ReadOnly
	case mode == ReadWrite && p.metadata.needsCheck:
		if mode = old; old == ReadWrite {
			mode = ReadOnly
		}
	}
	p.mode, p.bound.mode = mode, mode
	if mode != old {
		k.notify(p.owner)
	}
}

// checkSpace is check_for_data_space of dm-thin.c, with which each commit ends.
func (k *Kernel) checkSpace(p *pool) {
	if p.mode == OutOfDataSpace && p.metadata.free() > 0 {
		k.setMode(p, ReadWrite)
	}
}
