package volume

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"

	"thintree/fusefs/layout"
	"thintree/meta"
	"thintree/thin/pdata"
)

// otherDeviceError says that the device with the id in a record is not the one that the
// record describes: the id was used again, or the record belongs to another pool. It unwraps
// to EIO.
type otherDeviceError struct {
	id   uint32
	sign string // what differs
}

func (e *otherDeviceError) Error() string {
	return fmt.Sprintf("device %d of the pool %s: it is another device", e.id, e.sign)
}

// madeIn says that a device was not created in the transaction that its record says. Both are the
// pool's transaction ids afterwards.
func madeIn(id uint32, made, recorded uint64) error {
	return &otherDeviceError{id, fmt.Sprintf("was created in transaction %d, but the record says %d", made, recorded)}
}

func (e *otherDeviceError) Unwrap() error { return syscall.EIO }

// OtherDevice returns an error if the device with a record's id is not the one that the record
// describes. It returns nil if it is, and also if that cannot be checked: the record has neither a
// transaction id nor a parent, or the details of the device are damaged.
func (p *Pool) OtherDevice(record *meta.Volume) error {
	return p.otherDevice(record.DeviceID, record.TransactionID)
}

func (p *Pool) otherDevice(id uint32, recorded uint64) error {
	d := p.devices()[id]
	switch {
	case !d.InDetails:
		return nil
	case recorded == 0:
		return p.notOfParent(d)
	case d.TransactionID+1 == recorded:
		return nil
	}
	return madeIn(id, d.TransactionID+1, recorded)
}

// notOfParent returns an error if a device is no snapshot of the one that its record names. The pool
// counts its snapshots: a snapshot gets the count as the time of its creation, and its origin the
// same as the time when it was last snapshotted.
func (p *Pool) notOfParent(d pdata.DeviceDetails) error {
	r := p.records.Load()
	if r == nil {
		return nil
	}
	id, recorded := r.parents[d.ID]
	parent := p.devices()[id]
	if !recorded || !parent.InDetails || d.CreationTime > parent.CreationTime && d.CreationTime <= parent.SnapshottedTime {
		return nil
	}
	return &otherDeviceError{d.ID, fmt.Sprintf("was created at the pool's time %d, when nobody made a snapshot of device %d, which the record says", d.CreationTime, id)}
}

// records are what the records without a transaction id say of devices.
type records struct {
	ids     []uint32          // of those that are neither deleted nor half-made
	parents map[uint32]uint32 // by device, the one that it is a snapshot of
}

// SetRecords tells the pool the records of its volumes.
func (p *Pool) SetRecords(volumes []meta.Volume) {
	ids := make(map[string]uint32)
	for i := range volumes {
		if v := &volumes[i]; v.Pool == p.Name() {
			ids[v.Name] = v.DeviceID
		}
	}
	r := &records{parents: make(map[uint32]uint32)}
	for i := range volumes {
		v := &volumes[i]
		if v.Pool != p.Name() || v.TransactionID != 0 || v.State != meta.StateNormal {
			continue
		}
		r.ids = append(r.ids, v.DeviceID)
		if id, known := ids[v.Parent]; known && v.Parent != "" {
			r.parents[v.DeviceID] = id
		}
	}
	p.records.Store(r)
}

// NoDevice returns an error if the pool has no device for a record, or only another one with
// the same id, and nil otherwise. It looks only at the list of devices.
func (p *Pool) NoDevice(r *meta.Volume) error {
	l := p.listing.Load()
	if _, known := l.devices[r.DeviceID]; !known && l.lost == nil {
		return &pdata.NoDeviceError{ID: r.DeviceID}
	}
	if p.forced {
		return nil
	}
	return p.otherDevice(r.DeviceID, r.TransactionID)
}

// TellMisfits returns one error that sums up the volumes whose devices the pool lacks, nil if
// there are none. It logs the error if it differs from the last one.
func (p *Pool) TellMisfits(log *slog.Logger, misfits []*layout.Volume) error {
	const enough = 3 // names
	text := ""
	if len(misfits) > 0 {
		var names []string
		for _, v := range misfits[:min(len(misfits), enough)] {
			names = append(names, v.Name())
		}
		if len(misfits) > enough {
			names = append(names, "…")
		}
		text = fmt.Sprintf("%s: the pool does not have the devices of %d volumes (%s), or has others with their ids: thintree ls --long says why for each",
			p.Metadata(), len(misfits), strings.Join(names, ", "))
	}
	if text != p.misfits && text != "" {
		log.Warn("volumes cannot be shown", "pool", p.record.Name, "error", text)
	}
	p.misfits = text
	if text == "" {
		return nil
	}
	return errors.New(text)
}

// misfit returns an error if the device with the volume's id must not be shown, because it is
// not the volume's own. It returns nil otherwise, and if the pool's names are forced.
func (p *Pool) misfit(v *Volume) error {
	if p.forced {
		return nil
	}
	return p.disagrees(v)
}

// disagrees returns an error if the device with the volume's id is not the volume's own.
func (p *Pool) disagrees(v *Volume) error {
	if err := p.foreign.Load(); err != nil {
		return err
	}
	return p.otherDevice(v.deviceID, v.recorded)
}

// Disagrees is why the device that is shown is not the one of the volume's record. It is nil if it is
// that one, or if the record does not say enough.
func (v *Volume) Disagrees() error {
	if v.Pool == nil {
		return nil
	}
	return v.Pool.disagrees(v)
}
