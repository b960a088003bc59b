package block

import (
	"errors"
	"io"
	"sync"
)

// maxKept is how much is kept, in bytes.
const maxKept = 4 << 20

// Kept reads r in pieces of so many bytes and keeps them, 4 MiB at most: for a look at
// a few places, many of which lie close together. What is written to r meanwhile is not
// seen, so it is for moments. What a piece cannot be read for is read as it was asked.
func Kept(r Reader, pieceBytes int64) Reader {
	return &kept{Reader: r, pieceBytes: pieceBytes, pieces: make(map[int64][]byte)}
}

type kept struct {
	Reader
	pieceBytes int64
	mu         sync.Mutex
	pieces     map[int64][]byte // by their number; guarded by mu
}

func (k *kept) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) && off >= 0 {
		at := off + int64(done)
		piece := k.piece(at/k.pieceBytes, (off+int64(len(p))-1)/k.pieceBytes)
		from := at % k.pieceBytes
		if from >= int64(len(piece)) {
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

// piece is a piece, up to the end of what there is; nil where it cannot be read. One
// that is not kept is read with those that follow and are wanted, up to last.
func (k *kept) piece(number, last int64) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	if piece, ok := k.pieces[number]; ok {
		return piece
	}
	at := number * k.pieceBytes
	length := min((last-number+1)*k.pieceBytes, k.Size()-at)
	if length <= 0 || (int64(len(k.pieces))+last-number+1)*k.pieceBytes > maxKept {
		return nil
	}
	read := make([]byte, length)
	if n, err := k.Reader.ReadAt(read, at); int64(n) < length || err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	for n := number; len(read) > 0; n++ {
		length := min(k.pieceBytes, int64(len(read)))
		k.pieces[n], read = read[:length], read[length:]
	}
	return k.pieces[number]
}
