package pdata

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"syscall"
)

// maxDeviceID is the highest id that the kernel gives.
const maxDeviceID = 1<<24 - 1

// DeviceDetails is struct disk_device_details, and the device's id.
type DeviceDetails struct {
	ID uint32
	// MappedBlocks are data blocks.
	MappedBlocks uint64
	// TransactionID is the pool's when the device was made.
	TransactionID uint64
	// CreationTime and SnapshottedTime are of the superblock's Time.
	CreationTime, SnapshottedTime uint32
	// Known says that the details are there, Mapped that the mappings are: an
	// undamaged pool has both of each device.
	Known, Mapped bool
}

// ListError says that a device stands in only one of the two trees that list
// devices. It unwraps to EIO.
type ListError struct {
	ID    uint32
	Fault string
}

func (e *ListError) Error() string {
	return fmt.Sprintf("pool metadata: device %d: %s", e.ID, e.Fault)
}

// Unwrap makes errors.Is(err, syscall.EIO) true.
func (e *ListError) Unwrap() error { return syscall.EIO }

func (c *commit) devices(m *Metadata) *tree {
	return &tree{m: m, c: c, name: "devices", root: c.view.DataMappingRoot, size: 8}
}

func (c *commit) details(m *Metadata) *tree {
	return &tree{m: m, c: c, name: "details", root: c.view.DeviceDetailsRoot, size: 24}
}

// Devices lists the devices by rising id, then what could not be read of the
// list: a DamageError for each lost range of ids, a ListError for each id that
// only one of the two trees knows though the other could be read there. An id
// that either tree knows is listed.
func (m *Metadata) Devices(ctx context.Context) iter.Seq2[DeviceDetails, error] {
	return func(yield func(DeviceDetails, error) bool) {
		var list []DeviceDetails
		var problems []error
		err := m.consistent(ctx, func(c *commit) (err error) {
			list, problems, err = m.listDevices(ctx, c)
			return err
		})
		if err != nil {
			yield(DeviceDetails{}, err)
			return
		}
		for _, d := range list {
			if !yield(d, nil) {
				return
			}
		}
		for _, err := range problems {
			if !yield(DeviceDetails{}, err) {
				return
			}
		}
	}
}

func (m *Metadata) listDevices(ctx context.Context, c *commit) (list []DeviceDetails, problems []error, err error) {
	var known, mapped []DeviceDetails
	var lostDetails, lostMappings []*DamageError
	err = c.details(m).walk(ctx, 0, maxDeviceID, func(n *node, _ place) bool {
		for i := range n.n {
			if n.key(i) <= maxDeviceID {
				known = append(known, unpackDetails(uint32(n.key(i)), n.value(i)))
			}
		}
		return len(known) <= maxDeviceID
	}, collect(&lostDetails))
	if err != nil {
		return nil, nil, err
	}
	err = c.devices(m).walk(ctx, 0, maxDeviceID, func(n *node, _ place) bool {
		for i := range n.n {
			if n.key(i) <= maxDeviceID {
				mapped = append(mapped, DeviceDetails{ID: uint32(n.key(i)), Mapped: true})
			}
		}
		return len(mapped) <= maxDeviceID
	}, collect(&lostMappings))
	if err != nil {
		return nil, nil, err
	}
	for len(known) > 0 || len(mapped) > 0 {
		switch {
		case len(mapped) == 0 || len(known) > 0 && known[0].ID < mapped[0].ID:
			list = append(list, known[0])
			if !covers(lostMappings, known[0].ID) {
				problems = append(problems, &ListError{known[0].ID, "it has details but no mappings"})
			}
			known = known[1:]
		case len(known) == 0 || mapped[0].ID < known[0].ID:
			list = append(list, mapped[0])
			if !covers(lostDetails, mapped[0].ID) {
				problems = append(problems, &ListError{mapped[0].ID, "it has mappings but no details"})
			}
			mapped = mapped[1:]
		default:
			known[0].Mapped = true
			list = append(list, known[0])
			known, mapped = known[1:], mapped[1:]
		}
	}
	for _, e := range append(lostMappings, lostDetails...) {
		problems = append(problems, e)
	}
	return list, problems, nil
}

func collect(to *[]*DamageError) func(*DamageError) bool {
	return func(e *DamageError) bool {
		*to = append(*to, e)
		return true
	}
}

func covers(lost []*DamageError, id uint32) bool {
	for _, e := range lost {
		if e.First <= uint64(id) && uint64(id) <= e.Last {
			return true
		}
	}
	return false
}

func unpackDetails(id uint32, b []byte) DeviceDetails {
	le := binary.LittleEndian
	return DeviceDetails{
		ID: id, MappedBlocks: le.Uint64(b), TransactionID: le.Uint64(b[8:]),
		CreationTime: le.Uint32(b[16:]), SnapshottedTime: le.Uint32(b[20:]), Known: true,
	}
}

// find looks one key up: its value, nil where there is none.
func (t *tree) find(ctx context.Context, key uint64) (value []byte, err error) {
	var lost *DamageError
	werr := t.walk(ctx, key, key, func(n *node, _ place) bool {
		if i := n.search(key); i >= 0 && n.key(i) == key {
			value = n.value(i)
		}
		return false
	}, func(e *DamageError) bool {
		lost = e
		return false
	})
	if werr == nil && lost != nil {
		werr = lost
	}
	return value, werr
}
