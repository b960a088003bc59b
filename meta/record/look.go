package record

import (
	"context"
	"encoding/binary"
	"hash"
	"hash/fnv"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"thintree/thin/resolve"
)

// Tick is longer than what the clock of a filesystem counts in: two changes
// within it can leave the same time behind.
const Tick = 20 * time.Millisecond

// Look is what files and folders look like from outside, so that a change of them
// can be told without reading them. Calls must not be concurrent.
type Look struct {
	hash   hash.Hash64
	newest int64 // nanoseconds since 1970
}

// NewLook is a look at nothing yet.
func NewLook() *Look { return &Look{hash: fnv.New64a()} }

// Add adds a file or folder by its path, or the error that it has none. A change of any
// kind sets its ctime, which nobody can set back; of a folder also if a record in it is
// replaced by renaming. What is missing is part of the look too.
func (l *Look) Add(path string, err error) {
	var st unix.Stat_t
	if err == nil {
		st, err = resolve.Stat(path)
	}
	l.add(st, err)
}

// AddIn adds what lies below a folder.
func (l *Look) AddIn(f *Folder, name string) {
	var st unix.Stat_t
	fd, err := resolve.At(f.fd, name, unix.O_PATH)
	if err == nil {
		err = unix.Fstat(fd, &st)
		unix.Close(fd)
	}
	l.add(st, err)
}

func (l *Look) add(st unix.Stat_t, err error) {
	if err != nil {
		st = unix.Stat_t{}
	}
	changed := st.Ctim.Nano()
	l.AddNumber(st.Ino)
	l.AddNumber(uint64(changed))
	l.newest = max(l.newest, changed)
}

// AddNumber adds what no file's outside tells.
func (l *Look) AddNumber(n uint64) {
	l.hash.Write(binary.LittleEndian.AppendUint64(nil, n))
}

// Stamp differs from that of a look at the same things before one of them
// changed.
func (l *Look) Stamp() string {
	stamp := strconv.FormatUint(l.hash.Sum64(), 36)
	if now := time.Now(); now.Sub(time.Unix(0, l.newest)).Abs() < Tick {
		// What changes next may not show: this stamp is like no other.
		stamp += "@" + strconv.FormatInt(now.UnixNano(), 36)
	}
	return stamp
}

// settleTries is how often what changes each time is loaded.
const settleTries = 5

// Settled loads something, and loads it again where what it comes from has changed
// meanwhile by the look of it, at most five times.
func Settled[T any](ctx context.Context, look func(context.Context) (*Look, error), load func(context.Context) (T, error)) (T, error) {
	var loaded T
	before, err := look(ctx)
	if err != nil {
		return loaded, err
	}
	for range settleTries {
		if loaded, err = load(ctx); err != nil {
			return loaded, err
		}
		after, err := look(ctx)
		if err != nil {
			return loaded, err
		}
		if after.hash.Sum64() == before.hash.Sum64() {
			break
		}
		before = after
	}
	return loaded, nil
}
