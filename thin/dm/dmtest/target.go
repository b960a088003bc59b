package dmtest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"thintree/thin/blockdev"
)

// The target types.
const (
	linearKind   = "linear"
	errorKind    = "error"
	snapshotKind = "snapshot"
	poolKind     = "thin-pool"
	thinKind     = "thin"
)

// kind is a target type.
type kind struct {
	version [3]uint32
	make    func(k *Kernel, t *table, s spec, words []string) (target, error)
}

var kinds = map[string]kind{
	linearKind:   {[3]uint32{1, 4, 0}, makeLinear},
	errorKind:    {[3]uint32{1, 5, 0}, makeError},
	snapshotKind: {[3]uint32{1, 16, 0}, makeSnapshot},
	poolKind:     {[3]uint32{1, 22, 0}, makePool},
	thinKind:     {[3]uint32{1, 22, 0}, makeThin},
}

// listVersions is list_versions of dm-ioctl.c, which needs more room than it fills.
func (k *Kernel) listVersions(p *param) error {
	var data []byte
	last, needed := 0, 0
	for i, name := range slices.Sorted(maps.Keys(kinds)) {
		if i > 0 {
			native.PutUint32(data[last:], uint32(len(data)-last))
		}
		last = len(data)
		data = native.AppendUint32(data, 0) // next
		for _, n := range kinds[name].version {
			data = native.AppendUint32(data, n)
		}
		data = appendAligned(append(append(data, name...), 0))
		needed += 16 + len(name) + 1 + 7
	}
	p.answer(append(data, make([]byte, needed-len(data))...))
	return nil
}

type linear struct {
	plain
	number, start, length uint64
}

func makeLinear(k *Kernel, t *table, s spec, words []string) (target, error) {
	if len(words) != 2 {
		return nil, unix.EINVAL
	}
	start, err := strconv.ParseUint(words[1], 10, 55)
	if err != nil {
		return nil, unix.EINVAL
	}
	number, err := k.open(t, words[0])
	if err != nil {
		return nil, err
	}
	return &linear{number: number, start: start, length: s.length}, nil
}

func (l *linear) table() string                 { return fmt.Sprintf("%s %d", blockdev.Text(l.number), l.start) }
func (l *linear) needs() (uint64, uint64, bool) { return l.number, l.start + l.length, true }

func makeError(*Kernel, *table, spec, []string) (target, error) { return plain{}, nil }

// snapshot is a snapshot of one device, with its changes on another. Here it never has
// changes.
type snapshot struct {
	plain
	origin, changes uint64
	persistent      string
	chunkSectors    uint64
	length          uint64 // of the changes, in sectors
}

func makeSnapshot(k *Kernel, t *table, _ spec, words []string) (target, error) {
	if len(words) < 4 || words[2] != "P" && words[2] != "N" && words[2] != "PO" {
		return nil, unix.EINVAL
	}
	chunk, err := strconv.ParseUint(words[3], 10, 32)
	if err != nil || chunk&(chunk-1) != 0 {
		return nil, unix.EINVAL
	}
	s := &snapshot{persistent: words[2], chunkSectors: chunk}
	if s.origin, err = k.open(t, words[0]); err != nil {
		return nil, err
	}
	if s.changes, err = k.open(t, words[1]); err != nil {
		return nil, err
	}
	if s.origin == s.changes {
		return nil, unix.EINVAL
	}
	s.length, _ = k.sectors(s.changes)
	return s, nil
}

func (s *snapshot) table() string {
	return fmt.Sprintf("%s %s %s %d", blockdev.Text(s.origin), blockdev.Text(s.changes), s.persistent, s.chunkSectors)
}

func (s *snapshot) status() string { return fmt.Sprintf("0/%d 0", s.length) }
