package pdata

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestOpenReportsWhatIsWrong(t *testing.T) {
	t.Parallel()
	good := build(poolSpec{devices: []deviceSpec{device(1, mapped(0, 0, 3, 0))}})
	put32 := func(at int, v uint32) func(*image) {
		return func(im *image) { im.edit(0, func(p []byte) { le.PutUint32(p[at:], v) }) }
	}
	for name, test := range map[string]struct {
		change func(*image)
		want   error
	}{
		"zeroed":                     {func(im *image) { clear(im.p[:BlockBytes]) }, ErrZeroed},
		"zeroed is no pool":          {func(im *image) { clear(im.p[:BlockBytes]) }, ErrNotPool},
		"wrong magic":                {put32(32, 1), ErrNotPool},
		"changed byte":               {func(im *image) { im.flip(0, 400) }, ErrChecksum},
		"checksum of another kind":   {func(im *image) { le.PutUint32(im.p, sum(im.p[:BlockBytes], saltNode)) }, ErrChecksum},
		"another block's number":     {put32(8, 1), ErrSuperblock},
		"version 1":                  {put32(40, 1), ErrVersion},
		"version 3":                  {put32(40, 3), ErrVersion},
		"incompatible feature":       {put32(360, 1<<31), ErrIncompatible},
		"data blocks of 32 KiB":      {put32(336, 64), ErrSuperblock},
		"data blocks of 96 KiB":      {put32(336, 192), ErrSuperblock},
		"data blocks of 2 GiB":       {put32(336, 4<<20), ErrSuperblock},
		"metadata blocks of 8 KiB":   {put32(340, 16), ErrSuperblock},
		"more data than 8 EiB":       {put32(64+7, 0xff), ErrSuperblock},
		"more metadata than can be":  {put32(192+3, 0xff), ErrSuperblock},
		"half a superblock":          {func(im *image) { im.p = im.p[:BlockBytes/2] }, ErrTruncated},
		"nothing":                    {func(im *image) { im.p = nil }, ErrTruncated},
		"compatible feature":         {put32(352, 1<<31), nil},
		"read-only feature":          {put32(356, 1<<31), nil},
		"data blocks of 192 KiB":     {put32(336, 384), nil},
		"data blocks of 1 GiB":       {put32(336, 2<<20), nil},
		"junk in the roots":          {put32(64+100, 77), nil},
		"fewer blocks when made":     {put32(344, 3), nil},
		"another kind of time, flag": {put32(4, flagNeedsCheck), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			im := good.clone()
			test.change(im)
			_, err := Open(t.Context(), im, int64(len(im.p)), Options{})
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestErrorOfZeroedMetadataSaysSo(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), &image{p: make([]byte, 1<<20)}, 1<<20, Options{})
	if err == nil || !strings.Contains(err.Error(), "zeroed: no pool was ever made here, or it was wiped") {
		t.Error(err)
	}
}

func TestSuperblockIsParsed(t *testing.T) {
	t.Parallel()
	im := build(poolSpec{time: 7, transaction: 8, blockSectors: 384, dataBlocks: 1000})
	im.edit(0, func(p []byte) {
		le.PutUint32(p[4:], flagNeedsCheck)
		copy(p[16:], "0123456789abcdef")
	})
	s := im.open(t, Options{}).Superblock()
	if s.Time != 7 || s.TransactionID != 8 || s.DataBlockSize != 384 || s.DataSpaceMapRoot.NrBlocks != 1000 || !s.NeedsCheck() ||
		string(s.UUID[:]) != "0123456789abcdef" || s.MetadataNrBlocks != uint64(len(im.p)/BlockBytes) {
		t.Errorf("%+v", s)
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	im := build(poolSpec{})
	if _, err := Open(ctx, im, int64(len(im.p)), Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
