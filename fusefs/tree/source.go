package tree

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"thintree/fusefs/layout"
	"thintree/fusefs/volume"
	"thintree/meta"
)

// source is a meta.Source, with its pools and its last catalog. Only the keeper uses it.
type source struct {
	meta.Source
	folder string // its folder in the tree, "" if it is the only source
	rank   uint64 // its position among all sources in the order of their names
	stamp  string
	pools  []*volume.Pool
	disks  *volume.Disks
	cat    *meta.Catalog
	bases  map[string]*meta.Volume // by pool, the volume in cat whose filesystem's UUID is recorded
	// warnings are the records and pools that could not be read. misfits are one error for each
	// pool that lacks the devices of some records.
	warnings, misfits []error
}

func newSources(list []meta.Source, o *volume.Opener) []*source {
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = s.String()
	}
	folders := layout.Folders(names)
	sources := make([]*source, len(list))
	for i, s := range list {
		sources[i] = &source{Source: s, disks: o.NewDisks()}
		if len(list) > 1 {
			sources[i].folder = folders[i]
		}
	}
	byName := slices.Clone(sources)
	slices.SortStableFunc(byName, func(x, y *source) int { return strings.Compare(x.String(), y.String()) })
	for i, s := range byName {
		s.rank = uint64(i)
	}
	return sources
}

// layout returns the source for layout.Build.
func (s *source) layout() layout.Source {
	pools := make([]layout.Pool, len(s.pools))
	for i, p := range s.pools {
		pools[i] = p
	}
	cat := s.cat
	if cat == nil { // it could never be read
		cat = &meta.Catalog{}
	}
	return layout.Source{Folder: s.folder, Rank: s.rank, Pools: pools, Plain: s.disks, Catalog: cat}
}

// tellMisfits records and logs which volumes' devices the pools lack.
func (s *source) tellMisfits(log *slog.Logger, section layout.Section) {
	s.misfits = nil
	for i, p := range s.pools {
		if err := p.TellMisfits(log, section.Misfits[i]); err != nil {
			s.misfits = append(s.misfits, err)
		}
	}
}

// refresh reads those parts of the source that have changed. changed reports whether the layout
// has to be made again.
func (s *source) refresh(ctx context.Context, o *volume.Opener) (changed bool, err error) {
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
		for _, p := range s.pools {
			p.SetRecords(cat.Volumes)
		}
	}
	changed = s.disks.Refresh(ctx, o, s.cat.Volumes) || changed
	for _, p := range s.pools {
		c, perr := p.Refresh(ctx, o)
		judged, jerr := p.Judge(ctx, s.recordOf(p), s.bases[p.Name()])
		changed = changed || c || judged
		if perr = errors.Join(perr, jerr); perr != nil {
			err = errors.Join(err, fmt.Errorf("%s: pool %s: %w", s, p.Name(), perr))
		}
	}
	return changed, err
}

// recordOf is the newest record of a pool.
func (s *source) recordOf(p *volume.Pool) meta.Pool {
	for _, record := range s.cat.Pools {
		if p.Record().Same(record) {
			return record
		}
	}
	return p.Record()
}

// hasPlain reports whether a catalog has volumes that are in no pool.
func hasPlain(cat *meta.Catalog) bool {
	return slices.ContainsFunc(cat.Volumes, func(v meta.Volume) bool { return !v.IsThin() })
}

// openPools opens the pools of a catalog that are not open yet, and closes those that are no
// longer in it. It returns an error if there are pools and none can be read, unless there are
// volumes that need none.
func (s *source) openPools(ctx context.Context, cat *meta.Catalog, o *volume.Opener) error {
	var pools []*volume.Pool
	var errs []error
	for _, record := range cat.Pools {
		if i := slices.IndexFunc(s.pools, func(p *volume.Pool) bool { return p.Record().Same(record) }); i >= 0 {
			pools = append(pools, s.pools[i])
			continue
		}
		p, err := o.OpenPool(ctx, record)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s, err))
			continue
		}
		pools = append(pools, p)
	}
	if len(pools) == 0 && len(errs) > 0 && !hasPlain(cat) {
		return errors.Join(errs...)
	}
	for _, p := range s.pools {
		if !slices.Contains(pools, p) {
			errs = append(errs, p.Close())
		}
	}
	s.pools, s.warnings = pools, slices.DeleteFunc(append(errs, cat.Warnings...), func(err error) bool { return err == nil })
	for _, err := range s.warnings {
		o.Log.Warn("not all of a source can be shown", "source", s.String(), "error", err)
	}
	return nil
}
