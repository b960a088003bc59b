package block

import (
	"context"
	"errors"
	"io"
	"sync"
)

const (
	maxKept     = 4 << 20   // how much is kept, in bytes
	memoryBytes = 256 << 10 // how much memory is taken at a time
)

// Kept reads a Reader in pieces and keeps them, at most 4 MiB. It is for reading a few places,
// many of which are close together. It does not see later writes to kept pieces, so use it
// only for a moment. If a whole piece cannot be read, only the requested bytes are read. ReadAt
// may be called concurrently, until Close.
type Kept struct {
	Reader
	pieceBytes int64

	mu     sync.Mutex
	pieces map[int64][]byte // by their number; guarded by mu
	memory []*[]byte        // that the pieces lie in; guarded by mu
	left   []byte           // the unused rest of the last memory; guarded by mu
}

// memory is reused by later Kepts. Page faults in new memory can take longer than the reads.
var memory = sync.Pool{New: func() any {
	b := make([]byte, memoryBytes)
	return &b
}}

// Keep returns a Kept that reads r in pieces of pieceBytes bytes.
func Keep(r Reader, pieceBytes int64) *Kept {
	return &Kept{Reader: r, pieceBytes: pieceBytes, pieces: make(map[int64][]byte)}
}

// Close frees the memory of the kept pieces. It does not close the Reader. Later reads are not
// kept.
func (k *Kept) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range k.memory {
		memory.Put(m)
	}
	k.pieces, k.memory, k.left = nil, nil, nil
	return nil
}

func (k *Kept) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) && off >= 0 {
		at := off + int64(done)
		piece := k.piece(ctx, at/k.pieceBytes, (off+int64(len(p))-1)/k.pieceBytes)
		from := at % k.pieceBytes
		if from >= int64(len(piece)) {
			break
		}
		done += copy(p[done:], piece[from:])
	}
	if done == len(p) {
		return done, nil
	}
	n, err := k.Reader.ReadAt(ctx, p[done:], off+int64(done))
	return done + n, err
}

// piece is a piece, up to the end of the Reader. It is nil if the piece cannot be read. If it
// is not kept yet, the pieces up to last are read with it.
func (k *Kept) piece(ctx context.Context, number, last int64) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	if piece, ok := k.pieces[number]; ok {
		return piece
	}
	at := number * k.pieceBytes
	length := min((last-number+1)*k.pieceBytes, k.Size()-at)
	if k.pieces == nil || length <= 0 || (int64(len(k.pieces))+last-number+1)*k.pieceBytes > maxKept {
		return nil
	}
	read, left := k.room(length)
	if n, err := k.Reader.ReadAt(ctx, read, at); int64(n) < length || err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	k.left = left
	for n := number; len(read) > 0; n++ {
		length := min(k.pieceBytes, int64(len(read)))
		k.pieces[n], read = read[:length], read[length:]
	}
	return k.pieces[number]
}

// room returns memory for so many bytes, and the unused rest. The caller holds mu.
func (k *Kept) room(bytes int64) (room, left []byte) {
	if bytes > memoryBytes {
		return make([]byte, bytes), k.left
	}
	if bytes > int64(len(k.left)) {
		m := memory.Get().(*[]byte)
		k.memory, k.left = append(k.memory, m), *m
	}
	return k.left[:bytes:bytes], k.left[bytes:]
}
