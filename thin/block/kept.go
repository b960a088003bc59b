package block

import (
	"context"
	"errors"
	"io"
	"sync"
)

const (
	maxKept     = 4 << 20   // how much is kept, in bytes
	memoryBytes = 256 << 10 // is how much memory is taken at a time
)

// Kept reads a Reader in pieces and keeps them, 4 MiB at most: for a look at a few
// places, many of which lie close together. What is written meanwhile is not seen, so it
// is for moments. What a piece cannot be read for is read as it was asked. ReadAt may be
// called concurrently, until Close.
type Kept struct {
	Reader
	pieceBytes int64

	mu     sync.Mutex
	pieces map[int64][]byte // by their number; guarded by mu
	memory []*[]byte        // what they lie in, the last one being used up; guarded by mu
	left   []byte           // of the last one; guarded by mu
}

// memory is used again by later looks: fresh pages cost more than what is read into
// them, where page faults are dear.
var memory = sync.Pool{New: func() any {
	b := make([]byte, memoryBytes)
	return &b
}}

// Keep reads r in pieces of so many bytes.
func Keep(r Reader, pieceBytes int64) *Kept {
	return &Kept{Reader: r, pieceBytes: pieceBytes, pieces: make(map[int64][]byte)}
}

// Close gives back the memory of what was kept. It does not close the Reader, and what
// is read afterwards is not kept.
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

// piece is a piece, up to the end of what there is; nil where it cannot be read. One
// that is not kept is read with those that follow and are wanted, up to last.
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

// room is memory, and what is left of it where that is used. Called with mu held.
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
