package lend

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"thintree/thin"
	"thintree/thin/block"
	"thintree/thin/blockdev"
	"thintree/thin/dm"
)

// User is an activation of a device by others: not one that was lent.
type User struct {
	Name   string // of the device-mapper device, "" if nobody has it active
	Number uint64 // its device number, as unix.Mkdev makes it
	// Sequence tells a device from one that had its name and number before: the kernel's
	// diskseq. It is 0 before Linux 5.15.
	Sequence uint64
	// Writable says that it can be written to, Open that somebody has it open: a
	// filesystem on it is mounted, for the most.
	Writable, Open bool
}

// Writing reports whether somebody can be writing to the device now.
func (u User) Writing() bool { return u.Writable && u.Open }

// Same reports whether two looks saw the same activation.
func (u User) Same(other User) bool {
	return u.Name == other.Name && u.Number == other.Number && u.Sequence == other.Sequence
}

// Still reports whether the device of that number is still the one of that name: numbers are
// given to new devices at once.
func (u User) Still() bool {
	name, err := nameOf(u.Number)
	return err == nil && name == u.Name
}

// nameOf is what device-mapper calls the block device that has a number now. It is an
// error if the device is not device-mapper's.
func nameOf(number uint64) (string, error) {
	text, err := os.ReadFile(blockdev.Sysfs(number) + "/dm/name")
	return strings.TrimSuffix(string(text), "\n"), err
}

// fresh is how long what was seen of a pool is taken for true.
const fresh = time.Second

// state is what is known of a pool.
type state struct {
	activating sync.Mutex // held while it is looked for and activated

	mu    sync.Mutex
	at    time.Time       // when it was seen; guarded by mu
	pool  *thin.Pool      // nil if nobody else has it active; guarded by mu
	users map[uint32]User // guarded by mu
}

func (l *Lender) state(metadata block.Location) *state {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := metadata.Key()
	s := l.states[key]
	if s == nil {
		s = &state{}
		l.states[key] = s
	}
	return s
}

// Users are the activations of a pool's devices by others, by device id, as they were within
// the last second. The error is [thin.ErrNotActive] if nobody has the pool active. The caller
// does not change the map.
func (l *Lender) Users(ctx context.Context, metadata block.Location) (map[uint32]User, error) {
	s := l.state(metadata)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := l.refresh(ctx, s, metadata); err != nil {
		return nil, err
	}
	if s.pool == nil {
		return nil, thin.ErrNotActive
	}
	return s.users, nil
}

// pool is a pool that somebody else has active. The error is [thin.ErrNotActive] if nobody
// has.
func (l *Lender) pool(ctx context.Context, s *state, metadata block.Location) (*thin.Pool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := l.refresh(ctx, s, metadata); err != nil {
		return nil, err
	}
	if s.pool == nil {
		return nil, thin.ErrNotActive
	}
	return s.pool, nil
}

// refresh looks at a pool again if the last look is too long ago. Called with its mu held.
func (l *Lender) refresh(ctx context.Context, s *state, metadata block.Location) error {
	if time.Since(s.at) <= fresh {
		return nil
	}
	at := time.Now()
	pool, users, err := l.look(ctx, metadata)
	if err != nil {
		return err
	}
	s.at, s.pool, s.users = at, pool, users
	return nil
}

func (l *Lender) look(ctx context.Context, metadata block.Location) (p *thin.Pool, users map[uint32]User, err error) {
	p, err = l.kernel.FindPool(ctx, metadata)
	if errors.Is(err, thin.ErrNotActive) || err == nil && isLent(p.Name()) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	list, err := p.ActiveOfOthers(ctx)
	if err != nil {
		return nil, nil, err
	}
	users = make(map[uint32]User)
	for _, d := range list {
		u := User{
			Name: d.Name, Number: d.Number, Sequence: dm.DiskOf(d.Number).Sequence,
			Writable: !d.Info.ReadOnly, Open: d.Info.OpenCount > 0,
		}
		if had := users[d.ID]; !had.Writing() {
			users[d.ID] = u
		}
	}
	return p, users, nil
}
