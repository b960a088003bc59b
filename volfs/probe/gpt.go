package probe

import (
	"hash/crc32"
	"math"
)

const (
	gptHeaderBytes = 92
	gptEntryBytes  = 128
	gptMaxEntries  = 4096
)

// gpt reads a GUID partition table (UEFI specification, chapter 5), with sectors of 512 or
// 4096 bytes. If the first one is not valid, it reads the one in the last sector.
func (p *prober) gpt() *Table {
	for _, sector := range []int64{512, 4096} {
		if t := p.gptAt(1, sector); t != nil {
			return t
		}
	}
	for _, sector := range []int64{512, 4096} {
		if t := p.gptAt(p.v.Size()/sector-1, sector); t != nil {
			t.FromBackup = true
			return t
		}
	}
	return nil
}

// gptAt reads the table with its header in sector lba.
func (p *prober) gptAt(lba, sector int64) *Table {
	h := p.at(lba*sector, int(sector))
	if h == nil || string(h[:8]) != "EFI PART" {
		return nil
	}
	size := le.Uint32(h[12:])
	if size < gptHeaderBytes || int64(size) > sector || le.Uint64(h[24:]) != uint64(lba) {
		return nil
	}
	crc := crc32.NewIEEE()
	for _, part := range without(h[:size], 16, 4) {
		crc.Write(part)
	}
	if crc.Sum32() != le.Uint32(h[16:]) {
		return nil
	}
	alternate, first, last := le.Uint64(h[32:]), le.Uint64(h[40:]), le.Uint64(h[48:])
	entriesAt, count := le.Uint64(h[72:]), le.Uint32(h[80:])
	limit := uint64(math.MaxInt64 / sector)
	if last < first || last >= limit || alternate >= limit || entriesAt >= limit || first < uint64(lba) && uint64(lba) < last ||
		count == 0 || count > gptMaxEntries || le.Uint32(h[84:]) != gptEntryBytes {
		return nil
	}
	entries := p.at(int64(entriesAt)*sector, int(count)*gptEntryBytes)
	if entries == nil || crc32.ChecksumIEEE(entries) != le.Uint32(h[88:]) {
		return nil
	}
	t := &Table{
		Type: "gpt", UUID: guid(h[56:72]), SectorBytes: sector, BackupOffsetBytes: int64(alternate) * sector,
		Truncated: last >= uint64(p.v.Size()/sector),
	}
	for i := 0; i < int(count) && i < maxPartitions; i++ {
		e := entries[i*gptEntryBytes:][:gptEntryBytes]
		start, end := le.Uint64(e[32:]), le.Uint64(e[40:])
		if isZero(e[:16]) || start < first || end > last || end < start {
			continue
		}
		t.Partitions = append(t.Partitions, Partition{
			Index: i + 1, OffsetBytes: int64(start) * sector, LengthBytes: int64(end-start+1) * sector,
			Type: guid(e[:16]), UUID: guid(e[16:32]), Name: label16(e[56:128], le),
		})
	}
	return t
}
