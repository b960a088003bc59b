package layout

import (
	"strconv"
	"strings"
)

// Place is a place in a volume that may have a filesystem. It is a chain of steps, each from the
// whole volume or a partition to a partition in that. The zero Place is the whole volume. A Place
// is comparable.
type Place struct {
	// path is the names of the steps with slashes between them: "", "p2" or "p2/p1". It is the
	// path below the volume in the tree.
	path string
}

// Partition is the place of a partition within p. Partitions are numbered from 1.
func (p Place) Partition(number int) Place {
	return Place{strings.TrimPrefix(p.path+"/"+PartitionName(number), "/")}
}

// Last returns the last step: p is the partition with that number within outer. The number is 0
// if p is the whole volume, which has no steps.
func (p Place) Last() (outer Place, number int) {
	at := strings.LastIndexByte(p.path, '/')
	number, _ = ParsePartition(p.path[at+1:])
	return Place{p.path[:max(at, 0)]}, number
}

// IsWhole reports whether the place is the whole volume.
func (p Place) IsWhole() bool { return p.path == "" }

// String is the place's path below the folder of its volume, "" for the whole volume.
func (p Place) String() string { return p.path }

// Below is the place's path with the name of its volume: "vm/p2".
func (p Place) Below(volume string) string {
	if p.IsWhole() {
		return volume
	}
	return volume + "/" + p.path
}

// PartitionName is the name of a partition's folder: "p2".
func PartitionName(number int) string { return "p" + strconv.Itoa(number) }

// ParsePartition returns the number in the name of a partition's folder, 1 to 999. ok is false if
// the name is not that of a partition.
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
