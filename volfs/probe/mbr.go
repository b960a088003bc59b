package probe

import "fmt"

const (
	sectorBytes   = 512
	mbrProtective = 0xee
)

type mbrEntry struct {
	boot, kind    byte
	start, length int64 // sectors
}

func (e mbrEntry) extended() bool { return e.kind == 0x05 || e.kind == 0x0f || e.kind == 0x85 }

func mbrEntries(sector []byte) (entries [4]mbrEntry) {
	for i := range entries {
		b := sector[446+16*i:]
		entries[i] = mbrEntry{boot: b[0], kind: b[4], start: int64(le.Uint32(b[8:])), length: int64(le.Uint32(b[12:]))}
	}
	return entries
}

// mbr reads a DOS partition table. The boot sectors of FAT, exFAT, NTFS and AIX end with
// the same mark, but are none.
func (p *prober) mbr(sector []byte, entries [4]mbrEntry) *Table {
	if string(sector[:4]) == "\xc9\xc2\xd4\xc1" {
		return nil
	}
	for _, e := range entries {
		if e.boot&0x7f != 0 {
			return nil
		}
	}
	if p.fatBootSector() != nil || p.exFATBoot() != nil || p.ntfsBoot() != nil {
		return nil
	}
	t := &Table{Type: "dos", SectorBytes: sectorBytes}
	if id := le.Uint32(sector[440:]); id != 0 {
		t.UUID = fmt.Sprintf("%08x", id)
	}
	for i, e := range entries {
		if e.length > 0 {
			t.addMBR(i+1, e, e.start)
		}
	}
	for _, e := range entries {
		if e.length > 0 && e.extended() {
			p.logical(t, e.start, e.length)
		}
	}
	return t
}

func (t *Table) addMBR(index int, e mbrEntry, start int64) {
	part := Partition{
		Index: index, OffsetBytes: start * sectorBytes, LengthBytes: e.length * sectorBytes,
		Type: fmt.Sprintf("0x%x", e.kind), Extended: index <= 4 && e.extended(),
	}
	if t.UUID != "" {
		part.UUID = fmt.Sprintf("%s-%02x", t.UUID, index)
	}
	t.Partitions = append(t.Partitions, part)
}

// logical follows the chain of boot records in an extended partition, as Linux
// does (block/partitions/msdos.c). It ends, as links go forward only.
func (p *prober) logical(t *Table, start, length int64) {
	const emptyLimit = 100 // records in a row without a partition
	if start == 0 {
		return
	}
	next := 5
	if last := len(t.Partitions) - 1; t.Partitions[last].Index >= next {
		next = t.Partitions[last].Index + 1
	}
	record, recordLength := start, length
	for empty := 0; empty < emptyLimit; empty++ {
		b := p.at(record*sectorBytes, sectorBytes)
		if b == nil || b[510] != 0x55 || b[511] != 0xaa {
			return
		}
		entries := mbrEntries(b)
		for i, e := range entries {
			at := record + e.start
			if e.length == 0 || e.extended() || at < start || at+e.length > start+length ||
				i >= 2 && e.start+e.length > recordLength || t.startsAt(at) {
				continue
			}
			if next > maxPartitions {
				return
			}
			t.addMBR(next, e, at)
			next++
			empty = 0
		}
		link := linkOf(entries)
		if link == nil || start+link.start+link.length > start+length || start+link.start <= record {
			return
		}
		record, recordLength = start+link.start, link.length
	}
}

func linkOf(entries [4]mbrEntry) *mbrEntry {
	for _, e := range entries {
		if e.length > 0 && e.extended() && e.start > 0 {
			return &e
		}
	}
	return nil
}

func (t *Table) startsAt(sector int64) bool {
	for _, p := range t.Partitions {
		if !p.Extended && p.OffsetBytes == sector*sectorBytes {
			return true
		}
	}
	return false
}
