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

// otherDeviceError says that the device with the id that a record names is not the one that
// the record was made for: the id was used again, or the record is of another pool. It
// unwraps to EIO.
type otherDeviceError struct {
	id             uint32
	made, recorded uint64 // what the pool's transaction id became then
}

func (e *otherDeviceError) Error() string {
	return fmt.Sprintf("device %d of the pool was made in transaction %d, and the record says %d: it is another device", e.id, e.made, e.recorded)
}

func (e *otherDeviceError) Unwrap() error { return syscall.EIO }

// OtherDevice is why the device with a record's id is not the one that the record was made
// for. It is nil if it is, and if nobody can say: the record has no transaction, or the
// pool's details are damaged there.
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

// NoDevice is why a record names no device of its own, as far as the list of devices says;
// nil if it does.
func (p *Pool) NoDevice(r *meta.Volume) error {
	l := p.listing.Load()
	if _, known := l.devices[r.DeviceID]; !known && l.lost == nil {
		return &pdata.NoDeviceError{ID: r.DeviceID}
	}
	return p.otherDevice(r.DeviceID, r.TransactionID)
}

// TellMisfits sums up which records name no device of their own in the pool, and logs that
// if it is another sum than before. It is nil if there are none.
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
		text = fmt.Sprintf("%s: the pool does not have the devices of %d volumes (%s), or others in their place: thintree ls --long tells of each",
			p.record.Metadata, len(misfits), strings.Join(names, ", "))
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

// misfit is why nothing may be shown of the device with the volume's id; nil if it is
// the volume's own.
func (v *Volume) misfit() error {
	if err := v.Pool.foreign.Load(); err != nil {
		return err
	}
	return v.Pool.otherDevice(v.deviceID, v.recorded)
}

// Details are what the pool keeps of the volume, nothing if its device is another one. known
// reports whether the pool has a device of that id.
func (v *Volume) Details() (d pdata.DeviceDetails, known bool) {
	d, known = v.Pool.devices()[v.deviceID]
	if v.misfit() != nil {
		return pdata.DeviceDetails{}, known
	}
	return d, known
}

// foreignPoolError says that a pool is not the one that a source's records are of. It
// unwraps to EIO.
type foreignPoolError struct {
	metadata        string
	found, recorded string // UUIDs
}

func (e *foreignPoolError) Error() string {
	return fmt.Sprintf("%s: this is another pool: its base device has a filesystem with the UUID %s, and the records say %.64s: name the pool that they are of with --pool META,DATA",
		e.metadata, e.found, e.recorded)
}

func (e *foreignPoolError) Unwrap() error { return syscall.EIO }

// judged is what the verdict about a pool depends on.
type judged struct {
	uuid    string              // as recorded
	details pdata.DeviceDetails // of the base device
	epoch   int
}

// Judge looks whether the filesystem on the base device is the one that the records name, if
// they name one, and reports whether the verdict is another one than before. It reads the
// device only if what the verdict depends on has changed. What cannot be read is not judged.
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
		p.foreign.Store(&foreignPoolError{p.record.Metadata.String(), found, now.uuid})
	}
	after := p.foreign.Load()
	return (before == nil) != (after == nil), asError(after)
}

// asError is a verdict as an error: nil is none.
func asError(e *foreignPoolError) error {
	if e == nil {
		return nil
	}
	return e
}

// filesystemUUID is that of the filesystem on a device, "" if there is none, or it has
// no UUID.
func (p *Pool) filesystemUUID(ctx context.Context, r *meta.Volume) (uuid string, err error) {
	v := &Volume{Pool: p, identity: identity{deviceID: r.DeviceID}}
	var failed error
	err = v.read(ctx, func(open func(int64) (device, error)) error {
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
