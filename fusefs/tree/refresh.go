package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"thintree/meta"
)

// fresh is how long a view is taken for current without looking at the sources.
const fresh = time.Second

// current is the view as it is now: what has changed in the sources is in it
// after a second at the latest. Whoever comes while somebody else looks gets the
// view from before.
func (t *Tree) current(ctx context.Context) *view {
	if time.Since(t.began)-time.Duration(t.refreshed.Load()) > fresh && t.refreshing.TryLock() {
		t.renew(ctx)
		t.refreshing.Unlock()
	}
	return t.view.Load()
}

// lookNow makes the view current, whenever that was last done.
func (t *Tree) lookNow(ctx context.Context) {
	t.refreshing.Lock()
	defer t.refreshing.Unlock()
	t.renew(ctx)
}

// renew makes the view current. Called with refreshing held.
func (t *Tree) renew(ctx context.Context) {
	// Who asks may be interrupted; what they began is for all.
	err := t.refresh(context.WithoutCancel(ctx))
	t.refreshed.Store(int64(time.Since(t.began)))
	if text := fmt.Sprint(err); err != nil && text != t.complaint {
		t.complaint = text
		t.log.Warn("the sources cannot be read again, what was known of them is shown", "error", err)
	} else if err == nil {
		t.complaint = ""
	}
}

// refresh makes a new view where the sources have changed. A source that cannot
// be read keeps what is known of it. Called with refreshing held.
func (t *Tree) refresh(ctx context.Context) error {
	changed := t.view.Load() == nil
	var errs []error
	for _, s := range t.sources {
		c, err := s.refresh(ctx, t.opts)
		changed = changed || c
		errs = append(errs, err)
	}
	err := errors.Join(errs...)
	if t.view.Load() == nil && err != nil {
		return err
	}
	if changed {
		t.view.Store(t.buildView())
	}
	return err
}

// refresh reads again what has changed of one source, and tells whether the view
// has to change.
func (s *source) refresh(ctx context.Context, o Options) (changed bool, err error) {
	stamp, err := s.Stamp(ctx)
	if err != nil {
		return false, fmt.Errorf("%s: %w", s, err)
	}
	if s.cat == nil || stamp != s.stamp {
		cat, err := s.Load(ctx)
		if err != nil {
			return false, err
		}
		if err := s.openPools(ctx, cat, o); err != nil {
			return false, err
		}
		s.cat, s.stamp, changed = cat, stamp, true
		s.bases = make(map[string]*meta.Volume)
		for i := range cat.Volumes {
			if v := &cat.Volumes[i]; v.FilesystemUUID != "" {
				s.bases[v.Pool] = v
			}
		}
	}
	for _, p := range s.pools {
		c, perr := p.refresh(ctx, o)
		judged, jerr := p.judge(ctx, s.bases[p.name])
		changed = changed || c || judged
		if perr = errors.Join(perr, jerr); perr != nil {
			err = errors.Join(err, fmt.Errorf("%s: pool %s: %w", s, p.name, perr))
		}
	}
	return changed, err
}

// openPools opens the pools that a catalog names and that are not open yet. It
// is an error when there is none that can be read.
func (s *source) openPools(ctx context.Context, cat *meta.Catalog, o Options) error {
	var pools []*pool
	var errs []error
	for _, record := range cat.Pools {
		if i := slices.IndexFunc(s.pools, func(p *pool) bool { return p.record == record }); i >= 0 {
			pools = append(pools, s.pools[i])
			continue
		}
		p, err := openPool(ctx, record, o)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s, err))
			continue
		}
		pools = append(pools, p)
	}
	if len(pools) == 0 {
		return errors.Join(errs...)
	}
	for _, p := range s.pools {
		if !slices.Contains(pools, p) {
			errs = append(errs, p.close())
		}
	}
	s.pools, s.warnings = pools, slices.DeleteFunc(append(errs, cat.Warnings...), func(err error) bool { return err == nil })
	for _, err := range s.warnings {
		o.Log.Warn("not all that is named can be shown", "source", s.String(), "error", err)
	}
	return nil
}
