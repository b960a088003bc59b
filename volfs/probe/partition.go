package probe

import "slices"

// Table is a partition table.
type Table struct {
	// Type is "dos" (MBR), "gpt", or "PMBR": the MBR that protects a GPT, without a valid
	// GPT.
	Type string `json:"type"`
	// UUID is the GUID of the disk. For an MBR it is the signature in 8 hexadecimal
	// digits.
	UUID string `json:"uuid,omitempty"`
	// SectorBytes is the length of the sectors that the table counts.
	SectorBytes int64 `json:"sector_bytes"`
	// Hybrid says that the MBR before a GPT has partitions of its own. They are
	// not listed.
	Hybrid bool `json:"hybrid,omitempty"`
	// FromBackup says that the GPT at the start is damaged. This is the one at the end.
	FromBackup bool `json:"from_backup,omitempty"`
	// BackupOffsetBytes is the offset of the other header, as the GPT has it. That
	// header is not read.
	BackupOffsetBytes int64 `json:"backup_offset_bytes,omitempty"`
	// Truncated says that a GPT was made for a longer disk.
	Truncated bool `json:"truncated,omitempty"`
	// Partitions are in order of their Index.
	Partitions []Partition `json:"partitions"`
}

// Partition is an entry of a partition table.
type Partition struct {
	// Index is 1 for p1. Logical partitions begin at 5.
	Index       int   `json:"index"`
	OffsetBytes int64 `json:"offset_bytes"`
	LengthBytes int64 `json:"length_bytes"`
	// Type is "0x83" in an MBR, a GUID in a GPT.
	Type string `json:"type"`
	Name string `json:"name,omitempty"`
	UUID string `json:"uuid,omitempty"`
	// Extended says that this holds the logical partitions, and nothing else.
	Extended bool `json:"extended,omitempty"`
	// Overlaps says that it shares bytes with another partition, or is a logical one
	// outside of the extended one.
	Overlaps bool `json:"overlaps,omitempty"`
	// BeyondEnd says that a part of it is after the end of the volume. Linux shortens
	// such a partition.
	BeyondEnd bool `json:"beyond_end,omitempty"`
}

// maxPartitions is how many partitions of a disk Linux makes devices for.
const maxPartitions = 255

// table finds the partition table.
func (p *prober) table() *Table {
	b := p.at(0, 512)
	if b == nil || b[510] != 0x55 || b[511] != 0xaa {
		return nil
	}
	entries := mbrEntries(b)
	isProtective := func(e mbrEntry) bool { return e.kind == mbrProtective }
	var t *Table
	if slices.ContainsFunc(entries[:], isProtective) {
		t = p.gpt()
		if t == nil {
			t = &Table{Type: "PMBR", SectorBytes: 512}
		}
		t.Hybrid = slices.ContainsFunc(entries[:], func(e mbrEntry) bool { return e.kind != 0 && !isProtective(e) })
	} else {
		t = p.mbr(b, entries)
	}
	if t != nil {
		t.flag(p.v.Size())
	}
	return t
}

// flag marks impossible partitions.
func (t *Table) flag(size int64) {
	byOffset := make([]*Partition, 0, len(t.Partitions))
	for i := range t.Partitions {
		part := &t.Partitions[i]
		part.BeyondEnd = part.OffsetBytes+part.LengthBytes > size
		if !part.Extended {
			byOffset = append(byOffset, part)
		}
	}
	slices.SortStableFunc(byOffset, func(a, b *Partition) int { return compare(a.OffsetBytes, b.OffsetBytes) })
	var longest *Partition // of the earlier ones, the one with the highest end
	for _, part := range byOffset {
		if longest != nil && part.OffsetBytes < longest.end() {
			part.Overlaps, longest.Overlaps = true, true
		}
		if longest == nil || part.end() > longest.end() {
			longest = part
		}
	}
	for i := range t.Partitions {
		ext := &t.Partitions[i]
		if !ext.Extended {
			continue
		}
		for j := range t.Partitions {
			part := &t.Partitions[j]
			if i != j && part.Index <= 4 && part.OffsetBytes < ext.end() && ext.OffsetBytes < part.end() {
				part.Overlaps, ext.Overlaps = true, true
			}
		}
	}
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (p *Partition) end() int64 { return p.OffsetBytes + p.LengthBytes }

// covers reports whether a partition holds length bytes from off on.
func (t *Table) covers(off, length int64) bool {
	return t != nil && slices.ContainsFunc(t.Partitions, func(p Partition) bool {
		return !p.Extended && p.OffsetBytes <= off && off+length <= p.end()
	})
}
