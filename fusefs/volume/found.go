package volume

import (
	"strings"

	"thintree/volfs/probe"
)

// Partitions returns the partitions that were found, without extended ones. It returns none
// if a filesystem was found too: a partition table in front of a filesystem means nothing.
func Partitions(found probe.Result) []probe.Partition {
	if found.Kind != probe.KindPartitionTable {
		return nil
	}
	var list []probe.Partition
	for _, p := range found.Table.Partitions {
		if !p.Extended {
			list = append(list, p)
		}
	}
	return list
}

// impliedBytes is how long a volume has to be for everything that was found on it, in bytes.
func impliedBytes(found probe.Result) int64 {
	var end int64
	for _, s := range found.Signatures {
		end = max(end, s.SizeBytes)
	}
	for _, p := range Partitions(found) {
		end = max(end, p.OffsetBytes+p.LengthBytes)
	}
	return end
}

// Holds describes in a few words what was found.
func Holds(found probe.Result) string {
	var types []string
	for _, s := range found.Signatures {
		types = append(types, s.Type)
	}
	switch found.Kind {
	case probe.KindPartitionTable:
		return "a partition table (" + found.Table.Type + ")"
	case probe.KindEmpty:
		return "nothing but zeros"
	case probe.KindAmbivalent:
		return "signatures of several kinds (" + strings.Join(types, ", ") + ")"
	case probe.KindUnknown:
		return "data of no known kind"
	case "":
		return "nothing that can be read"
	}
	return types[0]
}
