package reader

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"thintree/thin/pdata"
)

// Piece is a part of a device that is mapped in one way.
type Piece struct {
	Length int64 // in bytes
	Kind   PieceKind
	Data   int64 // its offset in the pool's data in bytes, if it is mapped
}

// PieceKind is how a piece of a device is mapped.
type PieceKind int

// The kinds of pieces. A broken piece cannot be read: its mapping is damaged, or leads beyond
// the end of the pool's data.
const (
	Unmapped PieceKind = iota
	Mapped
	Broken
)

// Version identifies the mapping of a device at some moment. While the device has the same
// Version, its data blocks are the same ones, and are its own.
type Version struct {
	pool          *Pool
	id            uint32
	root          uint64
	transactionID uint64
}

// ErrTooManyPieces says that a device has more pieces than the caller allows.
var ErrTooManyPieces = errors.New("the device has too many pieces")

// changedTries is how often the pieces of a device are read if it changes each time.
const changedTries = 4

// Pieces returns the pieces of a device in order, and its version. sizeBytes is the device's
// length in bytes. Errors are [ErrTooManyPieces] if there are more than most pieces, a
// *[pdata.NoDeviceError], and [pdata.ErrChanging] if the device changes each time.
func (p *Pool) Pieces(ctx context.Context, id uint32, sizeBytes int64, most int) ([]Piece, Version, error) {
	s := p.use()
	defer s.users.Done()
	for range changedTries {
		before, err := p.version(ctx, s, id)
		if err != nil {
			return nil, before, err
		}
		list, err := s.pieces(ctx, id, sizeBytes, most)
		if err != nil {
			return nil, before, wrap(id, err)
		}
		if after, err := p.version(ctx, s, id); err != nil || after == before {
			return list, before, err
		}
	}
	return nil, Version{}, wrap(id, pdata.ErrChanging)
}

func (p *Pool) version(ctx context.Context, s *poolState, id uint32) (Version, error) {
	d, err := s.md.Device(ctx, id)
	if err != nil && !errors.As(err, new(*pdata.DamageError)) || err != nil && !d.InMappings {
		return Version{}, wrap(id, err)
	}
	if !d.InMappings {
		return Version{}, &pdata.NoDeviceError{ID: id}
	}
	return Version{p, id, d.MappingRoot, d.TransactionID}, nil
}

// Still returns an error unless the device still has this version: then all data read from its
// pieces until now were its own. The error is [ErrChanged] or a *[pdata.NoDeviceError].
func (v Version) Still(ctx context.Context) error {
	s := v.pool.use()
	defer s.users.Done()
	now, err := v.pool.version(ctx, s, v.id)
	if err == nil && now != v {
		err = fmt.Errorf("device %d: %w", v.id, ErrChanged)
	}
	return err
}

// ErrChanged says that a device is mapped differently now, or that its pool's data lie in another
// place. It unwraps to ESTALE.
var ErrChanged = fmt.Errorf("it was written to, deleted or moved while it was read: %w", syscall.ESTALE)

func (s *poolState) pieces(ctx context.Context, id uint32, sizeBytes int64, most int) (list []Piece, err error) {
	tree, err := s.md.Mappings(ctx, id)
	if err != nil {
		return nil, err
	}
	block, end := s.blockBytes(), int64(0)
	add := func(kind PieceKind, from, length, data int64) {
		if from > end {
			list = append(list, Piece{Length: from - end})
		}
		if length = min(length, sizeBytes-from); length > 0 {
			list = append(list, Piece{Length: length, Kind: kind, Data: data})
		}
		end = from + length
	}
	for run, err := range tree.Runs(ctx, 0, uint64((sizeBytes+block-1)/block)) {
		var damage *pdata.DamageError
		from, length, data := int64(run.Virtual)*block, int64(run.Length)*block, int64(run.Data)*block
		switch {
		case errors.As(err, &damage) && damage.Tree == pdata.TreeMappings:
			from = max(end, int64(damage.KeyBegin)*block)
			add(Broken, from, min(int64(damage.KeyEnd)*block, sizeBytes)-from, 0)
		case err != nil:
			return nil, err
		default:
			whole := max(0, min(length, s.data.Size()-data))
			add(Mapped, from, whole, data)
			if whole < length {
				add(Broken, from+whole, length-whole, 0)
			}
		}
		if len(list) > most {
			return nil, ErrTooManyPieces
		}
	}
	if end < sizeBytes {
		list = append(list, Piece{Length: sizeBytes - end})
	}
	return list, nil
}
