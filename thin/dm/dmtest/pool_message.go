package dmtest

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// message is pool_message of dm-thin.c.
func (t *poolTarget) message(k *Kernel, words []string) error {
	if t.pool.mode == ReadOnly || t.pool.mode == Failed {
		return unix.EOPNOTSUPP
	}
	m := t.pool.metadata
	known, ok := messages[strings.ToLower(words[0])]
	if !ok || len(words) != 1+known.numbers {
		return unix.EINVAL
	}
	var n [2]uint64
	for i, w := range words[1:] {
		var err error
		if n[i], err = strconv.ParseUint(w, 10, 64); err != nil || known.ids && n[i] > maxID {
			return unix.EINVAL
		}
	}
	if err := known.run(k, t.pool, m, n[0], n[1]); err != nil {
		return err
	}
	k.checkSpace(t.pool)
	return nil
}

// messages are the messages of a pool. Each has a number of arguments; ids says that they
// are device ids.
var messages = map[string]struct {
	numbers int
	ids     bool
	run     func(k *Kernel, p *pool, m *metadata, a, b uint64) error
}{
	"create_thin": {1, true, func(_ *Kernel, _ *pool, m *metadata, id, _ uint64) error { return m.createThin(uint32(id)) }},
	"create_snap": {2, true, func(k *Kernel, p *pool, m *metadata, id, origin uint64) error {
		k.checkOrigin(p, uint32(origin))
		return m.createSnap(uint32(id), uint32(origin))
	}},
	"delete":                {1, true, func(_ *Kernel, _ *pool, m *metadata, id, _ uint64) error { return m.delete(uint32(id)) }},
	"set_transaction_id":    {2, false, func(_ *Kernel, _ *pool, m *metadata, from, to uint64) error { return m.setTransactionID(from, to) }},
	"reserve_metadata_snap": {0, false, func(_ *Kernel, _ *pool, m *metadata, _, _ uint64) error { return m.reserveSnap() }},
	"release_metadata_snap": {0, false, func(_ *Kernel, _ *pool, m *metadata, _, _ uint64) error { return m.releaseSnap() }},
}

// checkOrigin records a violation if a snapshot's origin can be written to meanwhile. The
// kernel does not prevent that, and the snapshot is then no more consistent than after a
// power failure.
func (k *Kernel) checkOrigin(p *pool, origin uint32) {
	for _, t := range p.active {
		if t.id == origin && t.owner.active.has(t) && !t.owner.readOnly && !t.owner.suspended && !p.suspended {
			k.violated("create_snap of %d, which is active as %s but not suspended", origin, t.owner.name)
		}
	}
}
