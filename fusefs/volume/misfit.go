package volume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"

	"thintree/fusefs/layout"
	"thintree/meta"
	"thintree/thin/pdata"
	"thintree/volfs/probe"
)

// otherDeviceError says that the device with the id in a record is not the one that the
// record describes: the id was used again, or the record belongs to another pool. It unwraps
// to EIO.
type otherDeviceError struct {
	id             uint32
	made, recorded uint64 // the pool's transaction id after the device was created
}

func (e *otherDeviceError) Error() string {
	return fmt.Sprintf("device %d of the pool was created in transaction %d, but the record says %d: it is another device", e.id, e.made, e.recorded)
}

func (e *otherDeviceError) Unwrap() error { return syscall.EIO }

// OtherDevice returns an error if the device with a record's id is not the one that the record
// describes. It returns nil if it is, and also if that cannot be checked: the record has no
// transaction id, or the details of the device are damaged.
func (p *Pool) OtherDevice(record *meta.Volume) error {
	return p.otherDevice(record.DeviceID, record.TransactionID)
}

func (p *Pool) otherDevice(id uint32, recorded uint64) error {
	d := p.devices()[id]
	if recorded == 0 || !d.InDetails || d.TransactionID+1 == recorded {
		return nil
	}
	return &otherDeviceError{id, d.TransactionID + 1, recorded}
}

// NoDevice returns an error if the pool has no device for a record, or only another one with
// the same id, and nil otherwise. It looks only at the list of devices.
func (p *Pool) NoDevice(r *meta.Volume) error {
	l := p.listing.Load()
	if _, known := l.devices[r.DeviceID]; !known && l.lost == nil {
		return &pdata.NoDeviceError{ID: r.DeviceID}
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
// not the volume's own. It returns nil otherwise.
func (p *Pool) misfit(v *Volume) error {
	if err := p.foreign.Load(); err != nil {
		return err
	}
	return p.otherDevice(v.deviceID, v.recorded)
}

// foreignPoolError says that a pool is not the one that the records of its source describe.
// It unwraps to EIO.
type foreignPoolError struct {
	metadata        string
	found, recorded string // UUIDs
}

func (e *foreignPoolError) Error() string {
	return fmt.Sprintf("%s: this is another pool: the filesystem on its base device has the UUID %s, but the records say %.64s: name the right pool with --pool META,DATA",
		e.metadata, e.found, e.recorded)
}

func (e *foreignPoolError) Unwrap() error { return syscall.EIO }

// judged is everything that the verdict about a pool depends on.
type judged struct {
	uuid    string              // as recorded
	details pdata.DeviceDetails // of the base device
	epoch   int
}

// Judge checks whether the filesystem on the base device has the UUID in the record base, and
// returns an error if it has another one: then the pool is not the one of the records. base is
// nil if no record says the UUID. changed reports whether the verdict differs from the last
// one. Judge reads the device only if something changed that the verdict depends on. If the
// device cannot be read the last verdict stays.
func (p *Pool) Judge(ctx context.Context, base *meta.Volume) (changed bool, err error) {
	before := p.foreign.Load()
	now := judged{epoch: p.reader.Epoch()}
	if base != nil {
		now.uuid, now.details = base.FilesystemUUID, p.devices()[base.DeviceID]
	}
	if now == p.judged {
		return false, asError(before)
	}
	found := ""
	if now.details != (pdata.DeviceDetails{}) {
		if found, err = p.filesystemUUID(ctx, base); err != nil {
			return false, asError(before)
		}
	}
	p.judged = now
	p.foreign.Store(nil)
	if found != "" && !strings.EqualFold(found, now.uuid) {
		p.foreign.Store(&foreignPoolError{p.Metadata(), found, now.uuid})
	}
	after := p.foreign.Load()
	return (before == nil) != (after == nil), asError(after)
}

// asError turns a verdict into an error: a nil verdict into a nil error.
func asError(e *foreignPoolError) error {
	if e == nil {
		return nil
	}
	return e
}

// filesystemUUID reads the UUID of the filesystem on a device. It is "" if there is no
// filesystem, or if the filesystem has no UUID.
func (p *Pool) filesystemUUID(ctx context.Context, r *meta.Volume) (uuid string, err error) {
	v := &Volume{Pool: p, in: p, identity: identity{deviceID: r.DeviceID}}
	v.SetRecord(r)
	var failed error
	err = p.read(ctx, v, func(open func(int64) (device, error)) error {
		d, err := open(r.SizeBytes)
		if err != nil {
			return err
		}
		defer d.Close()
		var found probe.Result
		if found, failed = probe.Probe(ctx, d); found.Kind == probe.KindFilesystem {
			uuid = found.Signatures[0].UUID
		}
		return nil
	})
	if err == nil {
		err = failed
	}
	return uuid, err
}
