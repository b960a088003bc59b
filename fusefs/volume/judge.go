package volume

import (
	"context"
	"fmt"
	"strings"
	"syscall"

	"thintree/meta"
	"thintree/thin/pdata"
	"thintree/volfs/probe"
)

// foreignPoolError says that a pool is not the one that the records of its source describe.
// It unwraps to EIO.
type foreignPoolError struct{ metadata, sign string }

func (e *foreignPoolError) Error() string {
	return fmt.Sprintf("%s: this is another pool: %s: name the right pool with --pool, or look all the same with --force-names", e.metadata, e.sign)
}

func (e *foreignPoolError) Unwrap() error { return syscall.EIO }

// judged is everything that the verdict about a pool depends on.
type judged struct {
	uuid         string              // of the filesystem on the base device, as recorded
	details      pdata.DeviceDetails // of the base device
	epoch        int
	transactions [2]uint64 // the pool's, and as recorded
	strangers    strangers
}

// strangers says how many records are not those of the pool's devices. Only records count that have no
// transaction id, by which each could be judged.
type strangers struct{ missing, all int }

// countStrangers counts them, unless neither the devices nor the records have changed.
func (p *Pool) countStrangers() strangers {
	l, r := p.listing.Load(), p.records.Load()
	if r == nil || l.lost != nil || p.counted.of == l && p.counted.by == r {
		return p.counted.strangers
	}
	n := strangers{all: len(r.ids)}
	for _, id := range r.ids {
		if d, known := l.devices[id]; !known || p.otherDevice(id, 0) != nil && d.InDetails {
			n.missing++
		}
	}
	p.counted = counted{l, r, n}
	return n
}

// counted is a count of strangers, and what it is of.
type counted struct {
	of *listing
	by *records
	strangers
}

// Judge checks whether the pool is the one of the records: if the filesystem on the base device has
// the UUID in the record base, which is nil if no record says it, if the pool has the transaction id of
// its record, and if it has most of the recorded devices. If not, it returns an error, unless the pool's names are forced. changed reports
// whether the verdict differs from the last one. Judge reads the device only if something changed
// that the verdict depends on. If the device cannot be read the last verdict stays.
func (p *Pool) Judge(ctx context.Context, record meta.Pool, base *meta.Volume) (changed bool, err error) {
	before := p.foreign.Load()
	now := judged{epoch: p.reader.Epoch(), transactions: [2]uint64{p.Usage().TransactionID, record.TransactionID}}
	if p.live() { // its owner changes both, and has compared them when it activated the pool
		now.transactions = [2]uint64{}
	}
	if record.ByDevices {
		now.strangers = p.countStrangers()
	}
	if base != nil {
		now.uuid, now.details = base.FilesystemUUID, p.devices()[base.DeviceID]
	}
	if now == p.judged {
		return false, p.refused(before)
	}
	found := ""
	if now.details != (pdata.DeviceDetails{}) {
		if found, err = p.filesystemUUID(ctx, base); err != nil {
			return false, p.refused(before)
		}
	}
	p.judged = now
	p.foreign.Store(nil)
	if found != "" && !strings.EqualFold(found, now.uuid) {
		p.foreign.Store(&foreignPoolError{p.Metadata(), fmt.Sprintf("the filesystem on its base device has the UUID %s, but the records say %.64s", found, now.uuid)})
	}
	// The record can be one transaction ahead: LVM writes it before it tells the kernel.
	if is, recorded := now.transactions[0], now.transactions[1]; recorded != 0 && is != recorded && is+1 != recorded {
		p.foreign.Store(&foreignPoolError{p.Metadata(), fmt.Sprintf("its transaction id is %d, but the records say %d", is, recorded)})
	}
	if n := now.strangers; n.missing > 0 && 2*n.missing >= n.all {
		p.foreign.Store(&foreignPoolError{p.Metadata(), fmt.Sprintf("it lacks %d of the %d devices that the records name, or has others with their ids", n.missing, n.all)})
	}
	after := p.foreign.Load()
	return (before == nil) != (after == nil), p.refused(after)
}

// refused turns a verdict into an error: nil if there is none, or if the names are forced.
func (p *Pool) refused(e *foreignPoolError) error {
	if e == nil || p.forced {
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
