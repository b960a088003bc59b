package lvm

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"thintree/meta/lvm/text"
)

// VolumeGroup is a volume group as one text describes it. It does not change once it is made.
type VolumeGroup struct {
	Name string
	// ID is the group's own, with hyphens.
	ID string
	// SeqNo counts the changes of the group. The text with the highest one counts.
	SeqNo uint32
	// ExtentSize is the length of all extents, in 512-byte sectors. It is not 0.
	ExtentSize      uint32
	Status, Tags    []string
	PhysicalVolumes []PhysicalVolume
	LogicalVolumes  []LogicalVolume
	// Description is the command that made the text, and CreationTime and CreationHost are
	// when and where it did.
	Description  string
	CreationTime time.Time
	CreationHost string
}

// PhysicalVolume is a disk of a volume group.
type PhysicalVolume struct {
	Name   string // by which segments refer to it: "pv0"
	ID     string
	Device string // the path at which the disk was seen last
	Status []string
	// Flags are those that older versions of LVM may ignore.
	Flags []string
	// DevSize is the length of the disk and PEStart where its first extent begins, in
	// 512-byte sectors. PECount is the number of its extents.
	DevSize, PEStart uint64
	PECount          uint32
}

// LogicalVolume is a volume of a volume group.
type LogicalVolume struct {
	Name, ID            string
	Status, Flags, Tags []string
	CreationTime        time.Time // zero if it is not recorded
	CreationHost        string
	// Segments follow each other without gaps, from extent 0 on. There is at least one.
	Segments []Segment
	// Err is why the volume's record cannot be used. Otherwise it is nil. Then only Name is
	// sure to be right.
	Err error
}

// Segment is a part of a logical volume. Extents are those of its group.
type Segment struct {
	Type                     string   // "striped", "thin", …
	Flags                    []string // that follow the type after a "+"
	StartExtent, ExtentCount uint32

	// Areas are what a striped or linear segment, a raid or a mirror consists of. StripeSize
	// is in 512-byte sectors, 0 if there is one area.
	Areas      []Area
	StripeSize uint32
	// Reshaped says that the areas of a raid have space for another layout.
	Reshaped bool

	// Metadata and Pool are the halves of a thin pool, and Creates the thin volumes that it
	// has not been told to create yet.
	Metadata, Pool string
	Creates        []string

	// ThinPool, DeviceID, ExternalOrigin and Merge are a thin volume's. Merge is the volume
	// that it replaces when that is activated next.
	ThinPool, ExternalOrigin, Merge string
	DeviceID                        uint32 // 0 to 1<<24-1

	TransactionID uint64 // a thin pool's, or a thin volume's
	Origin        string // a thin volume's or a snapshot's

	// CowStore is the volume with the differences of a snapshot, which Merging says to be
	// merged into Origin.
	CowStore string
	Merging  bool
}

// Area is a part of a segment: extents of a disk or of a logical volume, by its name.
type Area struct {
	Name   string
	Extent uint32
	Meta   string // the logical volume with the superblock of a raid's area, "" if it has none
}

// The status flags that are looked at.
const (
	statusVisible     = "VISIBLE"
	statusMissing     = "MISSING"
	statusPVMove      = "PVMOVE"
	statusRebuild     = "REBUILD"
	statusWriteMostly = "WRITEMOSTLY"
)

// The status flags that LVM knows (lib/format_text/flags.c). It refuses others.
var (
	groupStatus    = []string{"EXPORTED", "RESIZEABLE", statusPVMove, "READ", "WRITE", "CLUSTERED", "SHARED", "PARTIAL"}
	physicalStatus = []string{"ALLOCATABLE", "EXPORTED", statusMissing}
	logicalStatus  = append([]string{
		"READ", "WRITE", "FIXED_MINOR", statusVisible, statusPVMove, "LOCKED", "NOTSYNCED", statusRebuild, statusWriteMostly, "CACHE_VOL",
	}, typeFlags...)
	typeFlags = []string{
		"RESHAPE", "RESHAPE_DATA_OFFSET", "RESHAPE_DELTA_DISKS_PLUS", "RESHAPE_DELTA_DISKS_MINUS", "REMOVE_AFTER_RESHAPE",
		"METADATA_FORMAT", "CROP_METADATA", "CACHE_USES_CACHEVOL",
	}
)

// ParseGroup reads the text of a volume group. If the error is not nil, the group has its Name, ID
// and SeqNo if the text has them, and otherwise is nil. What is wrong with one logical volume is
// that volume's Err.
func ParseGroup(metadata []byte) (*VolumeGroup, error) {
	top, err := text.Parse(metadata)
	if err != nil {
		return nil, err
	}
	if contents, err := top.String("contents"); err != nil || contents != "Text Format Volume Group" {
		return nil, errors.Join(err, fmt.Errorf("the contents are %.80q, not a volume group", contents))
	}
	i := slices.IndexFunc(top.Nodes, func(n text.Node) bool { return n.Section != nil })
	if i < 0 {
		return nil, errors.New("there is no section for a volume group")
	}
	g, s := &VolumeGroup{Name: top.Nodes[i].Key}, top.Nodes[i].Section
	r := reading{s: s}
	g.ID, g.SeqNo = r.id("id"), r.uint32("seqno")
	if r.err != nil {
		return nil, r.err
	}
	if version, err := top.Uint("version", 32); err != nil || version != 1 {
		return g, errors.Join(err, fmt.Errorf("the text has version %d, not 1: it needs a newer thintree", version))
	}
	head := reading{s: top}
	g.Description, g.CreationHost = head.optionalString("description"), head.optionalString("creation_host")
	g.CreationTime = head.time("creation_time")
	return g, errors.Join(head.err, g.read(&r))
}

// read reads what is in the group's section.
func (g *VolumeGroup) read(r *reading) error {
	if format := r.optionalString("format"); format != "" && format != "lvm2" {
		return fmt.Errorf("the group has the format %.80q, not lvm2", format)
	}
	g.Status, g.ExtentSize, g.Tags = r.status(groupStatus), r.uint32("extent_size"), r.optionalStrings("tags")
	if r.err == nil && g.ExtentSize == 0 {
		return errors.New("extents of 0 sectors")
	}
	physical, logical := r.section("physical_volumes"), r.section("logical_volumes")
	if r.err != nil {
		return r.err
	}
	if physical == nil {
		return errors.New("there is no section physical_volumes")
	}
	g.PhysicalVolumes = make([]PhysicalVolume, len(physical.Nodes))
	for i, n := range physical.Nodes {
		if err := g.PhysicalVolumes[i].read(n); err != nil {
			return fmt.Errorf("physical volume %.80q: %w", n.Key, err)
		}
	}
	if logical == nil {
		return nil
	}
	g.LogicalVolumes = make([]LogicalVolume, len(logical.Nodes))
	for i, n := range logical.Nodes {
		v := &g.LogicalVolumes[i]
		v.Name = n.Key
		v.Err = v.read(n)
	}
	return nil
}

func (v *PhysicalVolume) read(n text.Node) error {
	if n.Section == nil {
		return errors.New("it is a value, not a section")
	}
	r := reading{s: n.Section}
	*v = PhysicalVolume{
		Name: n.Key, ID: r.id("id"), Device: r.optionalString("device"), Status: r.status(physicalStatus), Flags: r.optionalStrings("flags"),
		DevSize: r.optionalUint("dev_size", 63), PEStart: r.uint("pe_start", 63), PECount: r.uint32("pe_count"),
	}
	return r.err
}

// isMissing reports whether the disk was missing when the group was changed. What is on it may be
// old, also if the disk is there again.
func (v *PhysicalVolume) isMissing() bool {
	return slices.Contains(v.Status, statusMissing) || slices.Contains(v.Flags, statusMissing)
}

func (v *LogicalVolume) read(n text.Node) error {
	if n.Section == nil {
		return errors.New("it is a value, not a section")
	}
	r := reading{s: n.Section}
	v.ID, v.Flags, v.Tags = r.id("id"), r.optionalStrings("flags"), r.optionalStrings("tags")
	v.CreationTime, v.CreationHost = r.time("creation_time"), r.optionalString("creation_host")
	v.Status = r.status(logicalStatus)
	count := r.uint32("segment_count")
	if r.err != nil {
		return r.err
	}
	for _, n := range n.Section.Nodes {
		if n.Section == nil {
			continue
		}
		s, err := readSegment(n.Section)
		if err != nil {
			return fmt.Errorf("%.80s: %w", n.Key, err)
		}
		v.Segments = append(v.Segments, s)
	}
	return v.check(int(count))
}

// check checks that the segments follow each other.
func (v *LogicalVolume) check(count int) error {
	if len(v.Segments) != count || count == 0 {
		return fmt.Errorf("%d segments, segment_count is %d", len(v.Segments), count)
	}
	slices.SortStableFunc(v.Segments, func(a, b Segment) int { return int(int64(a.StartExtent) - int64(b.StartExtent)) })
	next := uint64(0)
	for _, s := range v.Segments {
		if uint64(s.StartExtent) != next || s.ExtentCount == 0 {
			return fmt.Errorf("%d extents from extent %d on, instead of from extent %d on", s.ExtentCount, s.StartExtent, next)
		}
		next += uint64(s.ExtentCount)
	}
	return nil
}

// extents is the number of the volume's extents.
func (v *LogicalVolume) extents() uint64 {
	n := uint64(0)
	for _, s := range v.Segments {
		n += uint64(s.ExtentCount)
	}
	return n
}

// isVisible reports whether the volume is marked as one that people see. Hidden ones are parts of others.
func (v *LogicalVolume) isVisible() bool { return slices.Contains(v.Status, statusVisible) }
