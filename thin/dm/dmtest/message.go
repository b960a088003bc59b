package dmtest

import (
	"strings"

	"golang.org/x/sys/unix"
)

// message is target_message of dm-ioctl.c.
func (k *Kernel) message(d *device, p *param) error {
	text, err := k.readString(p, 8)
	if err != nil {
		return err
	}
	sector := native.Uint64(p.data[headerBytes:])
	words := strings.Fields(text)
	p.room()
	switch {
	case len(words) == 0:
		return unix.EINVAL
	case words[0][0] == '@':
		if !strings.EqualFold(words[0], "@cancel_deferred_remove") || len(words) != 1 {
			return unix.EINVAL
		}
		d.deferred = false
	case d.active == nil:
		p.unanswered = true
	default:
		t := d.active.at(sector)
		if t == nil {
			return unix.EINVAL
		}
		if err := t.message(k, words); err != nil {
			return err
		}
	}
	d.describe(p)
	return nil
}

// at returns the target of a sector, nil beyond the end.
func (t *table) at(sector uint64) target {
	for _, p := range t.targets {
		if sector >= p.start && sector-p.start < p.length {
			return p
		}
	}
	return nil
}
