package lvm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"

	"thintree/meta"
	"thintree/thin/block"
)

// source is volume groups on disks.
type source struct {
	argument string // what follows the colon
	// find returns the paths of the disks, and a text that changes if there may be others.
	find func(ctx context.Context) (paths []string, listing string, err error)
	// group is the name or id of the group, "" for all groups of the disks.
	group string

	mu   sync.Mutex
	last known // guarded by mu
}

// known is what the last Load found, which Stamp looks at.
type known struct {
	paths   []string // of the disks of the groups
	sectors []place  // that were read beside the metadata
}

// place is where a sector lies. The offset is in bytes.
type place struct {
	path   string
	offset int64
}

var _ meta.Source = (*source)(nil)

// New is the source of all volume groups on disks: block devices, partitions and images. It does
// not look at them; Load returns errors.
func New(disks ...string) meta.Source {
	s := &source{argument: strings.Join(disks, ",")}
	s.find = func(context.Context) ([]string, string, error) { return disks, "", nil }
	s.last.paths = disks
	return s
}

// NewGroup is the source of a volume group of this host, by its name or id.
func NewGroup(group string) meta.Source {
	return &source{argument: group, group: group, find: system.disks}
}

// String is the source as a person writes it.
func (s *source) String() string { return "lvm:" + s.argument }

// Places are the paths of the disks. Those of a group of this host are known after a Load.
func (s *source) Places() []string { return s.known().paths }

func (s *source) known() known {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// changeTries bounds the loads if the metadata change each time.
const changeTries = 5

// Load reads the metadata of all groups. If they change meanwhile it reads them again, at most five
// times in all.
//
// Groups and volumes are shown also if disks are missing. The errors are those of [Read], and
// errors of disks that cannot be opened.
func (s *source) Load(ctx context.Context) (*meta.Catalog, error) {
	return await(ctx, func() (c *meta.Catalog, err error) {
		for range changeTries {
			var before, after string
			if c, before, err = s.load(ctx); err != nil {
				break
			}
			if after, err = s.stamp(ctx); err != nil || after == before {
				break
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
		return c, nil
	})
}

// Stamp changes with each change of a group: LVM writes the headers of the metadata areas then. It
// also changes if a disk of this host comes or goes, and if a leg of a raid1 fails. It reads the
// labels, the headers and these superblocks.
func (s *source) Stamp(ctx context.Context) (string, error) {
	return await(ctx, func() (string, error) { return s.stamp(ctx) })
}

// await calls f, and returns before it does if the context ends. Reading a disk that does not answer
// cannot be interrupted. f goes on by itself then.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// load reads the groups once, and returns the stamp that belongs to them.
func (s *source) load(ctx context.Context) (*meta.Catalog, string, error) {
	paths, listing, err := s.find(ctx)
	if err != nil {
		return nil, "", err
	}
	devices, failed, closeAll, err := s.open(ctx, paths)
	defer closeAll()
	if err != nil {
		return nil, "", err
	}
	var unread error
	if s.group != "" && len(failed) > 0 {
		// Of the disks of a host some can never be read. This matters only if nothing is found.
		unread, failed = fmt.Errorf("not all disks could be read: %w", failed[0]), nil
	}
	if s.group != "" {
		if devices, err = system.uppermost(ctx, devices); err != nil {
			return nil, "", err
		}
	}
	r, err := read(ctx, devices, s.group)
	if err != nil {
		return nil, "", errors.Join(append(failed, err, unread)...)
	}
	r.catalog.Warnings = append(failed, r.catalog.Warnings...)
	k := known{paths: paths}
	if s.group != "" {
		k.paths = r.paths()
	}
	for _, at := range r.sectors {
		k.sectors = append(k.sectors, place{at.disk.Path, at.disk.offset + at.offset})
	}
	s.mu.Lock()
	s.last = k
	s.mu.Unlock()
	devices = slices.DeleteFunc(devices, func(d Device) bool { return !slices.Contains(k.paths, d.Path) })
	return r.catalog, sign(ctx, listing, devices, failed, k.sectors), nil
}

// stamp is the stamp of the disks that the last Load found, otherwise of all that there are.
func (s *source) stamp(ctx context.Context) (string, error) {
	paths, listing, err := s.find(ctx)
	if err != nil {
		return "", err
	}
	k := s.known()
	if len(k.paths) > 0 {
		paths = k.paths
	}
	devices, failed, closeAll, err := s.open(ctx, paths)
	defer closeAll()
	switch {
	case err != nil && (s.group == "" || ctx.Err() != nil):
		return "", err
	case err != nil:
		failed = []error{err} // Load looks for the disks at other paths
	case s.group != "":
		failed = nil
	}
	return sign(ctx, listing, devices, failed, k.sectors), ctx.Err()
}

// open is openAll for the disks of the source.
func (s *source) open(ctx context.Context, paths []string) ([]Device, []error, func(), error) {
	devices, failed, closeAll, err := openAll(ctx, paths)
	if err != nil && ctx.Err() == nil && s.group != "" {
		err = &NoGroupError{s.group, err}
	}
	return devices, failed, closeAll, err
}

// sign is a text that differs if the groups on devices may differ, or sectors do.
func sign(ctx context.Context, listing string, devices []Device, failed []error, sectors []place) string {
	h := fnv.New64a()
	add := func(p []byte) { h.Write(append(binary.LittleEndian.AppendUint64(nil, uint64(len(p))), p...)) }
	add([]byte(listing))
	for _, err := range failed {
		add([]byte(err.Error()))
	}
	readers := make(map[string]block.Reader, len(devices))
	for _, d := range devices {
		readers[d.Path] = d.Reader
		found, damaged, err := d.scan(ctx)
		add(fmt.Appendf(nil, "%s %d %v %v", d.Path, d.Reader.Size(), damaged, err))
		for _, p := range found {
			add(p.sign)
		}
	}
	for _, at := range sectors {
		if r := readers[at.path]; r != nil {
			p := make([]byte, labelSize)
			err := readFull(ctx, r, p, at.offset)
			add(fmt.Appendf(p, "%v", err))
		}
	}
	return strconv.FormatUint(h.Sum64(), 36)
}

// openDisk opens a disk for reading. A block device is read past its page cache, through which
// device-mapper does not write. The page cache of a file has what any writer wrote last.
func openDisk(ctx context.Context, path string) (*block.File, error) {
	look, err := block.LookAt(path)
	if err != nil {
		return nil, err
	}
	return block.OpenRaw(ctx, path, block.Options{Direct: look.Rdev != 0})
}

// openAll opens disks. failed has the errors of those that cannot be opened. If none can be, err is the first one; it is
// also the error of ctx.
func openAll(ctx context.Context, paths []string) (devices []Device, failed []error, closeAll func(), err error) {
	var files []*block.File
	closeAll = func() {
		for _, f := range files {
			f.Close()
		}
	}
	for _, path := range paths {
		if err := ctx.Err(); err != nil {
			return nil, nil, closeAll, err
		}
		f, err := openDisk(ctx, path)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		files = append(files, f)
		devices = append(devices, Device{Path: path, In: block.At(path), Reader: f})
	}
	if len(devices) == 0 && len(failed) > 0 {
		return nil, nil, closeAll, failed[0]
	}
	return devices, failed, closeAll, nil
}
