package block

import (
	"errors"
	"io"
	"sync"
)

const (
	pieceBytes = 64 << 10
	maxPieces  = 64 // that are kept
)

// Kept reads r in pieces of 64 KiB and keeps them, 4 MiB at most: for a look at a few
// places, many of which lie close together. What is written to r meanwhile is not
// seen, so it is for moments. What a piece cannot be read for is read as it was asked.
func Kept(r Reader) Reader { return &kept{Reader: r} }

type kept struct {
	Reader
	mu     sync.Mutex
	pieces map[int64][]byte // by their number; guarded by mu
}

func (k *kept) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) && off >= 0 {
		at := off + int64(done)
		piece, ok := k.piece(at / pieceBytes)
		from := at % pieceBytes
		if !ok || from >= int64(len(piece)) {
			break
		}
		done += copy(p[done:], piece[from:])
	}
	if done == len(p) {
		return done, nil
	}
	n, err := k.Reader.ReadAt(p[done:], off+int64(done))
	return done + n, err
}

// piece is a piece that can be read, up to the end of what there is.
func (k *kept) piece(number int64) ([]byte, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if piece, ok := k.pieces[number]; ok {
		return piece, true
	}
	at := number * pieceBytes
	length := min(pieceBytes, k.Size()-at)
	if length <= 0 || len(k.pieces) == maxPieces {
		return nil, false
	}
	piece := make([]byte, length)
	if n, err := k.Reader.ReadAt(piece, at); int64(n) < length || err != nil && !errors.Is(err, io.EOF) {
		return nil, false
	}
	if k.pieces == nil {
		k.pieces = make(map[int64][]byte)
	}
	k.pieces[number] = piece
	return piece, true
}
