package docker

import (
	"context"
	"encoding/binary"
	"hash"
	"hash/fnv"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"thintree/meta/record"
)

// tick is longer than what the clock of a filesystem counts in: two changes
// within it can leave the same time behind.
const tick = 20 * time.Millisecond

// Stamp changes when a device, a layer, an image or a container comes, goes or
// gets another name, and when a creation or deletion ends. Its error is that of
// ctx.
//
// Docker replaces records by renaming, so a record's own change shows as one of
// its folder. Only a container's record is looked at by itself.
func (s source) Stamp(ctx context.Context) (string, error) {
	sum, newest, err := s.look(ctx)
	if err != nil {
		return "", err
	}
	stamp := strconv.FormatUint(sum, 36)
	if now := time.Now(); now.Sub(newest).Abs() < tick {
		// What changes next may not show: this stamp is like no other.
		stamp += "@" + strconv.FormatInt(now.UnixNano(), 36)
	}
	return stamp, nil
}

// look is a sum over what a stamp is of, and the time of its latest change.
func (s source) look(ctx context.Context) (uint64, time.Time, error) {
	l := looker{hash: fnv.New64a()}
	for _, path := range []string{recordsDir, containersDir, layersDir, mountsDir, imagesDir, namesFile} {
		l.add(unix.AT_FDCWD, s.path(path))
	}
	if err := s.lookAtContainers(ctx, &l); err != nil {
		return 0, time.Time{}, err
	}
	// The end of a transaction shows in the pool only.
	if t, _ := s.openTransaction(ctx); t != nil {
		l.number(t.OpenID)
	}
	return l.hash.Sum64(), time.Unix(0, l.newest), ctx.Err()
}

func (s source) lookAtContainers(ctx context.Context, l *looker) error {
	dir := s.path(containersDir)
	entries, err := record.List(dir)
	if err != nil {
		return nil // it is missing, or Load says what is wrong with it
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		l.add(fd, e.Name()+"/"+configFile)
	}
	return nil
}

// looker sums up what files and folders look like from outside.
type looker struct {
	hash   hash.Hash64
	newest int64 // nanoseconds since 1970
}

// add adds a file, by its path below a folder. A change of any kind sets its
// ctime, which nobody can set back.
func (l *looker) add(dir int, path string) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, path, &st, 0); err != nil {
		st = unix.Stat_t{}
	}
	changed := st.Ctim.Nano()
	l.number(st.Ino)
	l.number(uint64(changed))
	l.newest = max(l.newest, changed)
}

func (l *looker) number(n uint64) {
	l.hash.Write(binary.LittleEndian.AppendUint64(nil, n))
}
