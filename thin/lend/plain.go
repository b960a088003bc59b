package lend

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"thintree/thin"
	"thintree/thin/block"
	"thintree/thin/blockdev"
	"thintree/thin/dm"
	"thintree/thin/loop"
	"thintree/thin/resolve"
)

// lendPlain activates a device over the files and block devices that a location names. A file or
// device as a whole has sizeBytes.
func (l *Lender) lendPlain(ctx context.Context, at block.Location, sizeBytes int64) (f *os.File, done func() error, err error) {
	numbers := make(map[string]uint64)
	for _, path := range at.Paths() {
		st, err := resolve.Stat(path)
		if err != nil {
			return nil, nil, err
		}
		if numbers[path] = st.Rdev; st.Mode&unix.S_IFMT == unix.S_IFREG {
			d, err := loop.Attach(ctx, path, loop.Options{ReadOnly: true})
			if err != nil {
				return nil, nil, err
			}
			defer d.Close() // the lent device keeps it
			numbers[path] = d.Number()
		}
	}
	table, err := plainTable(at, numbers, sizeBytes)
	if err != nil {
		return nil, nil, err
	}
	return l.stack(ctx, table, true)
}

// plainTable is the table of a device over the devices that numbers has for the paths of a location.
func plainTable(at block.Location, numbers map[string]uint64, sizeBytes int64) (table []dm.Target, err error) {
	start := uint64(0)
	err = at.Each(func(r block.Run) error {
		if r.Length == 0 {
			r.Length = sizeBytes
		}
		t := dm.Target{Start: start, Length: uint64(r.Length) / blockdev.SectorBytes, Type: "linear"}
		var on strings.Builder
		for _, s := range r.Stripes {
			if s.Offset%blockdev.SectorBytes != 0 || r.Length%blockdev.SectorBytes != 0 {
				return fmt.Errorf("%s: a piece that does not begin and end with a sector", s.Path)
			}
			fmt.Fprintf(&on, " %s %d", blockdev.Text(numbers[s.Path]), s.Offset/blockdev.SectorBytes)
		}
		t.Params = on.String()[1:]
		if len(r.Stripes) > 1 {
			t.Type, t.Params = "striped", fmt.Sprintf("%d %d%s", len(r.Stripes), r.StripeBytes/blockdev.SectorBytes, on.String())
		}
		table = append(table, t)
		start += t.Length
		return nil
	})
	return table, err
}

// UserOf is the activation by another program of the device that lies at a location, as a logical
// volume does. It is zero if there is none. It is at most one second old.
func (l *Lender) UserOf(ctx context.Context, at block.Location) (user User, err error) {
	o, err := l.overlays(ctx)
	if err != nil {
		return User{}, err
	}
	found, err := o.At(ctx, at)
	for _, info := range found {
		if !isLent(info.Name) && !user.Writing() {
			user = userOf(info)
		}
	}
	return user, err
}

// overlays are the overlays of this host as they were last seen.
func (l *Lender) overlays(ctx context.Context) (*thin.Overlays, error) {
	l.over.mu.Lock()
	defer l.over.mu.Unlock()
	if l.over.last != nil && time.Since(l.over.at) <= fresh {
		return l.over.last, nil
	}
	at := time.Now()
	o, err := l.kernel.Overlays(ctx)
	if err == nil {
		l.over.last, l.over.at = o, at
	}
	return o, err
}

// seenOverlays are overlays, and when they were seen.
type seenOverlays struct {
	mu   sync.Mutex
	at   time.Time      // guarded by mu
	last *thin.Overlays // guarded by mu
}
