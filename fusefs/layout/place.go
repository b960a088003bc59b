package layout

import (
	"strconv"
	"strings"
)

// Place is a place in a volume that may have a filesystem. It is a chain of steps, each from the
// whole volume, or from something that lies in it, to something in that. The zero Place is the
// whole volume. A Place is comparable.
type Place struct {
	// path is the names of the steps with slashes between them: "", "p2" or "p2/p1". It is the
	// path below the volume in the tree, but for the marks of steps that are not partitions.
	path string
}

// Step is one step of a Place.
type Step struct {
	Kind StepKind
	// Number is that of a partition, from 1 on.
	Number int
	// Name is that of a volume group or logical volume, as Escape returns it, in one part.
	Name string
}

// StepKind is what a step leads to.
type StepKind byte

// The kinds of steps.
const (
	StepPartition StepKind = iota
	StepGroup              // an LVM volume group, from one of its physical volumes
	StepVolume             // a logical volume, from its group
)

// marks begin the names of steps that are not partitions. No name has these bytes.
var marks = map[StepKind]string{StepPartition: "", StepGroup: "\x01", StepVolume: "\x02"}

// String is the name of the folder that the step leads to.
func (s Step) String() string {
	if s.Kind == StepPartition {
		return PartitionName(s.Number)
	}
	return s.Name
}

// Then is the place that a step from p leads to.
func (p Place) Then(s Step) Place {
	return Place{strings.TrimPrefix(p.path+"/"+marks[s.Kind]+s.String(), "/")}
}

// Partition is the place of a partition within p. Partitions are numbered from 1.
func (p Place) Partition(number int) Place { return p.Then(Step{Number: number}) }

// Last returns the last step, and the place that it begins at. Both are zero if p is the whole
// volume, which has no steps.
func (p Place) Last() (outer Place, last Step) {
	if p.IsWhole() {
		return Place{}, Step{}
	}
	at := strings.LastIndexByte(p.path, '/')
	name := p.path[at+1:]
	switch name[0] {
	case marks[StepGroup][0]:
		last = Step{Kind: StepGroup, Name: name[1:]}
	case marks[StepVolume][0]:
		last = Step{Kind: StepVolume, Name: name[1:]}
	default:
		last.Number, _ = ParsePartition(name)
	}
	return Place{p.path[:max(at, 0)]}, last
}

// IsWhole reports whether the place is the whole volume.
func (p Place) IsWhole() bool { return p.path == "" }

// IsGroup reports whether the place is a volume group. It has no bytes of its own.
func (p Place) IsGroup() bool {
	_, last := p.Last()
	return last.Kind == StepGroup
}

// IsRange reports whether the place is one range of bytes of the volume: all its steps are
// partitions.
func (p Place) IsRange() bool { return !strings.Contains(p.path, marks[StepGroup]) }

// Depth is how many steps the place has.
func (p Place) Depth() int {
	if p.IsWhole() {
		return 0
	}
	return 1 + strings.Count(p.path, "/")
}

// String is the place's path below the folder of its volume, "" for the whole volume.
func (p Place) String() string {
	return strings.NewReplacer(marks[StepGroup], "", marks[StepVolume], "").Replace(p.path)
}

// Below is the place's path with the name of its volume: "vm/p2".
func (p Place) Below(volume string) string {
	if p.IsWhole() {
		return volume
	}
	return volume + "/" + p.String()
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
