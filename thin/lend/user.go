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

// User is an activation of a device by another program: not a loan.
type User struct {
	Name   string // of the device-mapper device, "" if the device is not active
	Number uint64 // its device number, as unix.Mkdev makes it
	// Sequence is the kernel's diskseq. It differs from that of an earlier device with the
	// same name and number. It is 0 before Linux 5.15.
	Sequence uint64
	// Writable is true if the device can be written to. Open is true if a program has it
	// open, or a filesystem on it is mounted.
	Writable, Open bool
}

// Writing reports whether the device may be written to now.
func (u User) Writing() bool { return u.Writable && u.Open }

// Same reports whether both are the same activation.
func (u User) Same(other User) bool {
	return u.Name == other.Name && u.Number == other.Number && u.Sequence == other.Sequence
}

// Still reports whether the device of that number still has that name. The kernel gives a
// free number to the next new device at once.
func (u User) Still() bool {
	name, err := nameOf(u.Number)
	return err == nil && name == u.Name
}

// nameOf is the device-mapper name of the block device that has a number now. The error is
// fs.ErrNotExist if it is not a device-mapper device.
func nameOf(number uint64) (string, error) {
	text, err := os.ReadFile(blockdev.Sysfs(number) + "/dm/name")
	return strings.TrimSuffix(string(text), "\n"), err
}

// fresh is how long the state of a pool is used before it is read again.
const fresh = time.Second

// state is what was last seen of a pool.
type state struct {
	activating sync.Mutex // held while the pool is looked for and activated

	mu    sync.Mutex
	at    time.Time       // when it was seen; guarded by mu
	pool  *thin.Pool      // nil if it is not active, or only lent; guarded by mu
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

// Users returns the activations of a pool's devices by other programs, by device id. They are
// at most one second old. If a device has several, one that may be writing is preferred. The
// error is [thin.ErrNotActive] if the pool is not active, or only lent. The caller must not
// change the map.
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

// pool is a pool that another program has active. The error is [thin.ErrNotActive] if none
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

// refresh looks at a pool again if the last look is too long ago. The caller holds s.mu.
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

// userOf is the activation that a device is.
func userOf(info dm.Info) User {
	return User{
		Name: info.Name, Number: info.Number, Sequence: dm.DiskOf(info.Number).Sequence,
		Writable: !info.ReadOnly, Open: info.OpenCount > 0,
	}
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
		if had := users[d.ID]; !had.Writing() {
			users[d.ID] = userOf(d.Info)
		}
	}
	return p, users, nil
}
