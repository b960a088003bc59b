package lvm

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"thintree/meta/lvm/text"
)

// The types of segments that are looked at.
const (
	typeLinear    = "linear"
	typeStriped   = "striped"
	typeThin      = "thin"
	typeThinPool  = "thin-pool"
	typeCachePool = "cache-pool"
	typeVDOPool   = "vdo-pool"
	typeSnapshot  = "snapshot"
	typeRAID0     = "raid0"
	typeRAID0Meta = "raid0_meta"
	typeRAID1     = "raid1"
)

const maxDeviceID = 1<<24 - 1

// readSegment reads a segment. Of a type that is not known, or that only the kernel reads, it reads
// what all segments have.
func readSegment(s *text.Section) (Segment, error) {
	r := reading{s: s}
	words := strings.Split(r.string("type"), "+")
	seg := Segment{Type: words[0], Flags: words[1:], StartExtent: r.uint32("start_extent"), ExtentCount: r.uint32("extent_count")}
	if r.err != nil {
		return seg, r.err
	}
	switch seg.Type {
	case typeLinear, typeStriped:
		seg.readStripes(&r)
	case typeRAID0:
		seg.readRAID(&r, "stripe_count", "raid0_lvs")
	case typeRAID0Meta:
		seg.readRAID(&r, "stripe_count", "raids")
	case typeRAID1:
		seg.readRAID(&r, "device_count", "raids")
	case typeThinPool:
		seg.Metadata, seg.Pool, seg.TransactionID = r.string("metadata"), r.string("pool"), r.uint("transaction_id", 63)
		seg.readMessages(&r)
	case typeThin:
		seg.ThinPool, seg.TransactionID, seg.DeviceID = r.string("thin_pool"), r.uint("transaction_id", 63), r.uint32("device_id")
		seg.Origin, seg.ExternalOrigin, seg.Merge = r.optionalString("origin"), r.optionalString("external_origin"), r.optionalString("merge")
		if seg.DeviceID > maxDeviceID {
			r.fail(fmt.Errorf("device_id %d is higher than %d, the highest that a pool can have", seg.DeviceID, maxDeviceID))
		}
	case typeSnapshot:
		seg.Origin = r.string("origin")
		if seg.Merging = s.Has("merging_store"); seg.Merging {
			seg.CowStore = r.string("merging_store")
		} else {
			seg.CowStore = r.string("cow_store")
		}
	}
	return seg, r.err
}

// name is the type as LVM shows it.
func (s *Segment) name() string {
	if s.Type == typeStriped && len(s.Areas) == 1 {
		return typeLinear
	}
	return s.Type
}

// unknownFlag is a flag of the type that LVM does not know, "" if there is none. Such a flag makes
// another type of it.
func (s *Segment) unknownFlag() string {
	for _, f := range s.Flags {
		if !slices.Contains(typeFlags, f) {
			return f
		}
	}
	return ""
}

func (s *Segment) readStripes(r *reading) {
	count := r.uint32("stripe_count")
	areas := r.pairs("stripes")
	if r.err == nil && (len(areas) == 0 || int64(len(areas)) != int64(count)) {
		r.fail(fmt.Errorf("%d stripes, stripe_count is %d", len(areas), count))
	}
	for _, a := range areas {
		s.Areas = append(s.Areas, Area{Name: a.Name, Extent: uint32(a.Number)})
	}
	s.readStripeSize(r)
}

func (s *Segment) readStripeSize(r *reading) {
	if len(s.Areas) < 2 {
		return
	}
	if s.StripeSize = r.uint32("stripe_size"); r.err == nil && s.StripeSize == 0 {
		r.fail(fmt.Errorf("%d stripes of 0 sectors", len(s.Areas)))
	}
}

// readRAID reads the areas of a raid. Each is a logical volume for data, and before it, if the
// raid has superblocks, one for its superblock.
func (s *Segment) readRAID(r *reading, countKey, key string) {
	count := r.uint32(countKey)
	names := r.strings(key)
	each := 2
	if s.Type == typeRAID0 {
		each = 1
	}
	if r.err == nil && (count == 0 || uint64(count)*uint64(each) != uint64(len(names))) {
		r.fail(fmt.Errorf("%d names in %s, %s is %d", len(names), key, countKey, count))
	}
	if r.err != nil {
		return
	}
	for i := each - 1; i < len(names); i += each {
		a := Area{Name: names[i]}
		if each == 2 {
			a.Meta = names[i-1]
		}
		s.Areas = append(s.Areas, a)
	}
	if s.Type != typeRAID1 {
		s.readStripeSize(r)
	}
	s.Reshaped = r.s.Has("data_offset") || r.optionalUint("reshape_count", 32) != 0 ||
		slices.ContainsFunc(s.Flags, func(f string) bool { return strings.Contains(f, "RESHAPE") })
}

// readMessages reads the messages that LVM has not sent to a thin pool yet.
func (s *Segment) readMessages(r *reading) {
	for _, n := range r.s.Nodes {
		if n.Section == nil || !n.Section.Has("create") {
			continue
		}
		m := reading{s: n.Section}
		s.Creates = append(s.Creates, m.string("create"))
		r.fail(m.err)
	}
}

// reading reads the values of a section, and keeps the first error. After it, all values are
// empty.
type reading struct {
	s   *text.Section
	err error
}

func (r *reading) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func valueOf[T any](r *reading, get func(key string) (T, error), key string) (v T) {
	if r.err == nil {
		v, r.err = get(key)
	}
	return v
}

func (r *reading) string(key string) string { return valueOf(r, r.s.String, key) }

func (r *reading) strings(key string) []string { return valueOf(r, r.s.Strings, key) }

func (r *reading) section(key string) *text.Section { return valueOf(r, r.s.Sub, key) }

func (r *reading) uint32(key string) uint32 { return uint32(r.uint(key, 32)) }

func (r *reading) uint(key string, bits int) uint64 {
	return valueOf(r, func(key string) (uint64, error) { return r.s.Uint(key, bits) }, key)
}

func (r *reading) pairs(key string) []text.Pair {
	return valueOf(r, func(key string) ([]text.Pair, error) { return r.s.Pairs(key, 32) }, key)
}

func (r *reading) id(key string) string {
	return valueOf(r, func(key string) (string, error) {
		id, err := r.s.String(key)
		if err != nil {
			return "", err
		}
		return formatID([]byte(id))
	}, key)
}

func (r *reading) optionalString(key string) string {
	if !r.s.Has(key) {
		return ""
	}
	return r.string(key)
}

// optionalStrings returns nil also for an empty list.
func (r *reading) optionalStrings(key string) []string {
	if !r.s.Has(key) {
		return nil
	}
	if list := r.strings(key); len(list) > 0 {
		return list
	}
	return nil
}

func (r *reading) optionalUint(key string, bits int) uint64 {
	if !r.s.Has(key) {
		return 0
	}
	return r.uint(key, bits)
}

// time reads a time in seconds since 1970. Some versions of LVM before 2.02.169 wrote times that are
// no numbers of 64 bits. As in LVM, this is no damage.
func (r *reading) time(key string) time.Time {
	seconds, err := r.s.Uint(key, 63)
	if err != nil || seconds == 0 || seconds > maxSeconds {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}

// maxSeconds is the end of the year 9999, after which a time has no usual form.
const maxSeconds = 253402300799

// status reads the flags in status, which must all be known.
func (r *reading) status(known []string) []string {
	list := r.strings("status")
	for _, f := range list {
		if !slices.Contains(known, f) {
			r.fail(fmt.Errorf("the status flag %.80q is not known: it needs a newer thintree", f))
			return nil
		}
	}
	return list
}
