package deviceset

import (
	"context"
	"fmt"
	"os"

	"github.com/dustin/go-humanize"

	"thintree/thin"
	"thintree/thin/blockdev"
)

// settled returns a *[SettledError] if the option was given but does not agree with what
// exists. is describes what exists.
func (o Options) settled(name string, same bool, is string) error {
	if value, given := o.given[name]; given && !same {
		return &SettledError{Option: name + "=" + value, Is: is}
	}
	return nil
}

// checkPoolOptions checks the options that say how the pool is made against the pool.
func (s *DeviceSet) checkPoolOptions(ctx context.Context, inFiles bool) error {
	block := s.pool.BlockBytes()
	if err := s.opts.settled("dm.blocksize", block == int64(s.opts.BlockSectors)*blockdev.SectorBytes, "the pool's data blocks have "+sizeText(block)); err != nil {
		return err
	}
	if _, given := s.opts.given["dm.blkdiscard"]; given && s.opts.Discard {
		st, err := s.pool.Status(ctx)
		if err != nil {
			return err
		}
		passes := st.Discard != "ignore_discard" && st.Discard != "no_discard_passdown"
		if err := s.opts.settled("dm.blkdiscard", passes, "the pool does not pass discards on ("+st.Discard+")"); err != nil {
			return err
		}
	}
	if !inFiles {
		return nil
	}
	for _, file := range []struct {
		option, path string
		bytes        int64
	}{
		{"dm.loopdatasize", s.own.Data, s.opts.DataBytes},
		{"dm.loopmetadatasize", s.own.Metadata, s.opts.MetadataBytes},
	} {
		st, err := os.Stat(file.path)
		if err != nil {
			return err
		}
		is := fmt.Sprintf("%s has %s; thintree pool grow makes it longer", file.path, sizeText(st.Size()))
		if err := s.opts.settled(file.option, st.Size() == file.bytes, is); err != nil {
			return err
		}
	}
	return nil
}

// checkBaseOptions checks the options that say how the base device is made against the
// existing one.
func (s *DeviceSet) checkBaseOptions(ctx context.Context, d *device) error {
	err := s.opts.settled("dm.basesize", d.rec.SizeBytes == s.opts.BaseBytes, "the base device has "+sizeText(d.rec.SizeBytes))
	if err != nil {
		return err
	}
	if value, given := s.opts.given["dm.mkfsarg"]; given {
		s.ignore("dm.mkfsarg=" + value + ": the base device already has a filesystem, and it is not recorded with which arguments it was made")
	}
	if _, given := s.opts.given["dm.fs"]; !given {
		return nil
	}
	fs := s.set.BaseDeviceFilesystem
	if fs == "" { // Docker before 1.9 recorded none
		if fs, _, err = s.identify(ctx, d); err != nil {
			return fmt.Errorf("the base device: %w", err)
		}
	}
	return s.opts.settled("dm.fs", fs == s.opts.Filesystem, "the base device has "+fs)
}

// ignore logs and keeps an option that has no effect. It is not an error, because the
// option may agree with what exists.
func (s *DeviceSet) ignore(why string) {
	s.log.Warn("an option has no effect", "option", why)
	s.ignored = append(s.ignored, why)
}

// newFiles is a new pool in two files. A file that exists keeps its length, unless an
// option gives a length.
func (o Options) newFiles(c thin.PoolConfig) thin.NewPool {
	bytes := func(option, path string, bytes int64) int64 {
		_, given := o.given[option]
		if _, err := os.Stat(path); err == nil && !given {
			return 0
		}
		return bytes
	}
	return thin.NewPool{
		PoolConfig:    c,
		MetadataBytes: bytes("dm.loopmetadatasize", c.Metadata, o.MetadataBytes),
		DataBytes:     bytes("dm.loopdatasize", c.Data, o.DataBytes),
	}
}

func sizeText(bytes int64) string {
	return fmt.Sprintf("%s (%d bytes)", humanize.IBytes(uint64(bytes)), bytes)
}
