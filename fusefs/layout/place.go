package layout

import (
	"strconv"
	"strings"
)

// Place is where a filesystem may lie in a volume: a chain of steps, from the whole volume
// into a part of it, and on into a part of that. The zero Place is the whole volume. It is
// comparable.
type Place struct {
	// path are the names of the steps, with slashes between them, as the tree shows them
	// below the volume: "" or "p2".
	path string
}

// Partition is the place of a partition in what lies at p. Partitions are numbered from 1.
func (p Place) Partition(number int) Place {
	return Place{strings.TrimPrefix(p.path+"/"+PartitionName(number), "/")}
}

// Last is the last step: to the partition of a number in what lies at outer. The whole
// volume has none; its number is 0.
func (p Place) Last() (outer Place, number int) {
	at := strings.LastIndexByte(p.path, '/')
	number, _ = ParsePartition(p.path[at+1:])
	return Place{p.path[:max(at, 0)]}, number
}

// IsWhole reports whether the place is the whole volume.
func (p Place) IsWhole() bool { return p.path == "" }

// String is the place's path below the folder of its volume, "" for the whole.
func (p Place) String() string { return p.path }

// Below is what the place is called in a volume of a name: "vm/p2".
func (p Place) Below(volume string) string {
	if p.IsWhole() {
		return volume
	}
	return volume + "/" + p.path
}

// PartitionName is the name of a partition's folder: "p2".
func PartitionName(number int) string { return "p" + strconv.Itoa(number) }

// ParsePartition is the number in the name of a partition's folder, 1 to 999.
func ParsePartition(name string) (number int, ok bool) {
	digits, ok := strings.CutPrefix(name, "p")
	if !ok || digits == "" || digits[0] == '0' || len(digits) > 3 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		number = number*10 + int(c-'0')
	}
	return number, true
}
