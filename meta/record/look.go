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

// Tick is longer than the resolution of any filesystem's clock: two changes within a tick
// may have the same time. A test waits for more than a tick before it compares stamps.
const Tick = 20 * time.Millisecond

// Look is a fingerprint of files and folders, made without reading them. It changes when
// they change. Its methods must not be called concurrently.
type Look struct {
	hash   hash.Hash64
	newest int64 // nanoseconds since 1970
}

// NewLook returns an empty look.
func NewLook() *Look { return &Look{hash: fnv.New64a()} }

// Add adds a file or folder to the look; if err is not nil, or there is none at path, it
// adds that fact. Any change of a file sets its ctime, which no program can set back.
// Renaming a record over another one changes the ctime of the folder.
func (l *Look) Add(path string, err error) {
	var st unix.Stat_t
	if err == nil {
		st, err = resolve.Stat(path)
	}
	l.add(st, err)
}

// AddIn is Add for a path below an open folder.
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

// AddNumber adds a number that does not come from a file's status.
func (l *Look) AddNumber(n uint64) {
	l.hash.Write(binary.LittleEndian.AppendUint64(nil, n))
}

// Stamp is the fingerprint as a text. It differs from the stamp of a look at the same files
// before one of them changed.
func (l *Look) Stamp() string {
	stamp := strconv.FormatUint(l.hash.Sum64(), 36)
	if now := time.Now(); now.Sub(time.Unix(0, l.newest)).Abs() < Tick {
		// The next change may leave the same times, so make this stamp unique.
		stamp += "@" + strconv.FormatInt(now.UnixNano(), 36)
	}
	return stamp
}

// settleTries bounds the loads if the files change each time.
const settleTries = 5

// Settled calls load, and calls it again while look shows that the files changed meanwhile;
// at most five times in all.
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
