package reader

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"thintree/thin/pdata"
)

// Piece is a part of a device, and what lies there. Lengths and offsets are in bytes.
type Piece struct {
	Length int64
	Kind   PieceKind
	Data   int64 // where it lies in the pool's data, if it is mapped
}

// PieceKind is what lies in a piece of a device.
type PieceKind int

// The kinds of pieces. What is broken cannot be read: its mapping is damaged, or leads
// beyond the end of the pool's data.
const (
	Unmapped PieceKind = iota
	Mapped
	Broken
)

// Version is what a device was at some moment. As long as it is that, its mappings are the
// same, and nothing else is in the data blocks that they lead to.
type Version struct {
	pool          *Pool
	id            uint32
	root          uint64
	transactionID uint64
}

// ErrTooManyPieces says that a device is in more pieces than were asked for.
var ErrTooManyPieces = errors.New("the device is in too many pieces")

// changedTries is how often the pieces of a device are read that changes meanwhile.
const changedTries = 4

// Pieces are the pieces of a device of a length in bytes, from its beginning to its end, and
// its version then. Errors are [ErrTooManyPieces] if there are more than most, and a
// *[pdata.NoDeviceError].
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

// Still is an error unless the device is what it was: then what was read of its pieces
// until now was its own.
func (v Version) Still(ctx context.Context) error {
	s := v.pool.use()
	defer s.users.Done()
	now, err := v.pool.version(ctx, s, v.id)
	if err == nil && now != v {
		err = fmt.Errorf("device %d: %w", v.id, ErrChanged)
	}
	return err
}

// ErrChanged says that a device is not what it was, or its pool's data not where they were.
// It unwraps to ESTALE.
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
