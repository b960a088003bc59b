package dmtest

import (
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"thintree/thin/blockdev"
)

// thinTarget is a thin target in a table.
type thinTarget struct {
	plain
	owner  *device
	pool   *pool
	number uint64 // the number of the pool's device
	id     uint32
	mapped *thinMappings
	origin uint64 // the number of an external origin, 0 for none
	length uint64 // sectors
}

func makeThin(k *Kernel, t *table, s spec, words []string) (target, error) {
	if len(words) != 2 && len(words) != 3 {
		return nil, unix.EINVAL
	}
	thin := &thinTarget{owner: t.device, length: s.length}
	var err error
	if len(words) == 3 {
		if words[0] == words[2] {
			return nil, unix.EINVAL
		}
		if thin.origin, err = k.open(t, words[2]); err != nil {
			return nil, err
		}
	}
	if thin.number, err = k.open(t, words[0]); err != nil {
		return nil, err
	}
	id, err := strconv.ParseUint(words[1], 10, 64)
	if err != nil || id > maxID {
		return nil, unix.EINVAL
	}
	thin.id = uint32(id)
	for _, p := range k.pools {
		if p.owner.number() == thin.number {
			thin.pool = p
		}
	}
	if thin.pool == nil || thin.pool.mode == Failed {
		return nil, unix.EINVAL
	}
	if thin.mapped = thin.pool.metadata.thins[thin.id]; thin.mapped == nil {
		return nil, unix.ENODATA
	}
	if thin.pool.suspended {
		return nil, unix.EINVAL
	}
	thin.mapped.opens++
	thin.pool.tables++
	thin.pool.active = append(thin.pool.active, thin)
	return thin, nil
}

func (t *thinTarget) close(k *Kernel) {
	t.mapped.opens--
	t.pool.active = slices.DeleteFunc(t.pool.active, func(o *thinTarget) bool { return o == t })
	k.put(t.pool)
}

func (t *thinTarget) table() string {
	if t.pool.mode == Failed {
		return string(Failed)
	}
	words := fmt.Sprintf("%s %d", blockdev.Text(t.number), t.id)
	if t.origin != 0 {
		words += " " + blockdev.Text(t.origin)
	}
	return words
}

func (t *thinTarget) status() string {
	if t.pool.mode == Failed {
		return string(Failed)
	}
	size := t.pool.metadata.blockSectors
	highest := "-"
	if len(t.mapped.blocks) > 0 {
		last := uint64(0)
		for b := range t.mapped.blocks {
			last = max(last, b)
		}
		highest = strconv.FormatUint((last+1)*size-1, 10)
	}
	return fmt.Sprintf("%d %s", uint64(len(t.mapped.blocks))*size, highest)
}

// has reports whether a target is in a table.
func (t *table) has(a target) bool {
	return t != nil && slices.ContainsFunc(t.targets, func(p placed) bool { return p.target == a })
}
