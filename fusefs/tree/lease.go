package tree

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"
)

// leases decides which volumes are open: the first access opens one, many
// waiters share one open, idle ones are closed after a while, and there are
// never more than max. Where all are busy, a newcomer waits in turn.
//
// No lock is held while a volume is opened or closed.
type leases struct {
	max     int           // how many volumes may be open at once, at least 1
	idle    time.Duration // how long an unused volume stays open; ≤ 0: for ever
	timeout time.Duration // how long a newcomer waits for its turn
	load    func(context.Context, *volume) (*content, error)
	log     *slog.Logger

	mu      sync.Mutex
	held    map[*volume]*lease // opening, open and closing
	slots   int                // of max, how many are taken
	unused  list.List          // of *lease with refs == 0, the longest idle first
	queue   list.List          // of chan struct{}, newcomers in turn; each gets a slot by a close of its channel
	closing int                // how many volumes are being closed
	timer   *time.Timer        // closes what is idle; nil while nothing is
	next    time.Time          // when timer fires
	closed  bool
	opening bool // a volume is opened by soon

	running context.Context // until shutdown
	stop    context.CancelFunc

	background sync.WaitGroup // of what opens and closes volumes for nobody in particular
}

// lease is one volume that is open, or on its way there or back.
type lease struct {
	vol    *volume
	ready  chan struct{}      // closed once content or err is set
	cancel context.CancelFunc // gives up opening
	gone   chan struct{}      // closed once the volume is closed

	content *content  // set before ready is closed
	err     error     // set before ready is closed
	opened  time.Time // set before ready is closed

	// guarded by leases.mu
	refs    int
	since   time.Time     // when refs became 0
	place   *list.Element // in unused
	passed  bool          // it was only looked at since it was opened
	closing bool
	files   map[*File]struct{} // open in it, each with a reference
}

func newLeases(o Options, load func(context.Context, *volume) (*content, error)) *leases {
	ls := &leases{
		max: max(o.MaxActive, 1), idle: o.Idle, timeout: o.OpenTimeout,
		load: load, log: o.Log,
		held: make(map[*volume]*lease),
	}
	ls.running, ls.stop = context.WithCancel(context.Background())
	return ls
}

// Interrupt is the key of a context's value, a <-chan struct{}, that ends waiting
// for the turn of a volume when it is closed, but nothing that is short.
type Interrupt struct{}

// patience is how long an interrupted caller waits all the same: an open is
// mostly done by then.
const patience = time.Second

// wait waits until a lease is ready.
func (l *lease) wait(ctx context.Context) error {
	interrupt, _ := ctx.Value(Interrupt{}).(<-chan struct{})
	select {
	case <-l.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-interrupt:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-l.ready:
		return nil
	case <-timer.C:
		return context.Canceled
	}
}

// acquire opens a volume, or joins those who use it. Whoever got a lease
// returns it with release. The context ends the wait, not the open itself as
// long as somebody else waits for it too.
func (ls *leases) acquire(ctx context.Context, v *volume) (*lease, error) {
	for {
		l, closing, err := ls.join(v)
		if err != nil {
			return nil, err
		}
		if closing {
			select {
			case <-l.gone:
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if err := l.wait(ctx); err != nil {
			ls.release(l)
			return nil, err
		}
		if err := l.err; err != nil {
			ls.release(l)
			if errors.Is(err, context.Canceled) && ctx.Err() == nil {
				continue // those who waited before had all gone away
			}
			return nil, err
		}
		return l, nil
	}
}

// join finds the volume's lease and takes a reference to it, or begins one. It
// takes none of a lease that is closing.
func (ls *leases) join(v *volume) (l *lease, closing bool, err error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.closed {
		return nil, false, fmt.Errorf("%s: the tree is being closed: %w", v.name, syscall.ESHUTDOWN)
	}
	if l := ls.held[v]; l != nil {
		if !l.closing {
			ls.use(l)
		}
		return l, l.closing, nil
	}
	return ls.create(v), false, nil
}

// create begins to open a volume, with a reference to its lease. Called with mu held.
func (ls *leases) create(v *volume) *lease {
	ctx, cancel := context.WithCancel(context.Background())
	l := &lease{vol: v, ready: make(chan struct{}), gone: make(chan struct{}), cancel: cancel, refs: 1}
	ls.held[v] = l
	go ls.start(ctx, l)
	return l
}

// use takes a reference to a lease. Called with mu held.
func (ls *leases) use(l *lease) {
	l.refs++
	l.passed = false
	if l.place != nil {
		ls.unused.Remove(l.place)
		l.place = nil
	}
}

// start waits for a slot and opens the volume.
func (ls *leases) start(ctx context.Context, l *lease) {
	defer l.cancel()
	err := ls.takeSlot(ctx, l.vol)
	slot := err == nil
	var c *content
	if err == nil {
		c, err = ls.load(ctx, l.vol)
	}
	l.content, l.err, l.opened = c, err, time.Now()
	if err != nil {
		ls.mu.Lock()
		delete(ls.held, l.vol)
		if slot {
			ls.giveSlot()
		}
		ls.mu.Unlock()
		close(l.ready)
		close(l.gone)
		return
	}
	close(l.ready)
	ls.mu.Lock()
	abandoned := l.refs == 0 && l.place == nil && !l.closing
	if abandoned {
		abandoned = ls.rest(l)
	}
	ls.mu.Unlock()
	if abandoned {
		ls.finish(l)
	}
}

// release returns a lease.
func (ls *leases) release(l *lease) {
	ls.mu.Lock()
	l.refs--
	closeNow := false
	if l.refs == 0 && ls.held[l.vol] == l {
		select {
		case <-l.ready:
			closeNow = l.closing || ls.rest(l)
		default:
			l.cancel()
		}
	}
	ls.mu.Unlock()
	if closeNow {
		ls.finish(l)
	}
}

// rest puts an open lease that nobody uses among the unused, or says that it
// has to be closed at once, by finish, because it is wanted by a newcomer or
// its volume is gone. Called with mu held.
func (ls *leases) rest(l *lease) (closeNow bool) {
	wanted := ls.queue.Len() > ls.closing
	if ls.closed || l.vol.gone.Load() || wanted && ls.graceOf(l) == 0 {
		ls.begin(l)
		return true
	}
	l.since = time.Now()
	l.place = ls.unused.PushBack(l)
	if wanted {
		ls.wake(grace)
	}
	if idle := ls.idleOf(l); idle > 0 {
		ls.wake(idle)
	}
	return false
}

// snapshotIdle is how long a volume stays open at most that is shown by a temporary
// snapshot in its owner's pool.
const snapshotIdle = 3 * time.Second

// passing is how long a volume stays open that was only looked at: who is about to walk
// into it has had the kernel ask that before.
const passing = 20 * time.Millisecond

// idleOf is how long a volume stays open that nobody uses; ≤ 0: for ever.
func (ls *leases) idleOf(l *lease) time.Duration {
	if l.passed {
		return passing
	}
	if (ls.idle <= 0 || ls.idle > snapshotIdle) && l.content.hasSnapshot() {
		return snapshotIdle
	}
	return ls.idle
}

// wake has expire called after some time, at the latest. Called with mu held.
func (ls *leases) wake(after time.Duration) {
	at := time.Now().Add(after)
	if ls.timer != nil {
		if !at.Before(ls.next) {
			return
		}
		ls.timer.Stop()
	}
	ls.timer, ls.next = time.AfterFunc(after, ls.expire), at
}

// retire takes an unused lease out, to be closed by finish. Called with mu held.
func (ls *leases) retire(l *lease) {
	ls.unused.Remove(l.place)
	l.place = nil
	ls.begin(l)
}

// begin begins to close a lease; finish ends it. Called with mu held.
func (ls *leases) begin(l *lease) {
	l.closing = true
	ls.closing++
}

// finish closes the volume of a lease that is closing and gives its slot on.
func (ls *leases) finish(l *lease) {
	if err := l.content.Close(); err != nil {
		ls.log.Warn("closing a volume", "volume", l.vol.name, "error", err)
	}
	ls.mu.Lock()
	delete(ls.held, l.vol)
	ls.closing--
	ls.giveSlot()
	ls.mu.Unlock()
	close(l.gone)
}

// expire closes the volumes that have been idle for long enough, or that newcomers
// want.
func (ls *leases) expire() {
	ls.mu.Lock()
	ls.timer = nil
	now := time.Now()
	var done []*lease
	for l := ls.victim(); l != nil; l = ls.victim() {
		done = append(done, l)
	}
	for e := ls.unused.Front(); e != nil; {
		l := e.Value.(*lease)
		e = e.Next()
		idle := ls.idleOf(l)
		if left := idle - now.Sub(l.since); idle > 0 && left <= 0 {
			ls.retire(l)
			done = append(done, l)
		} else if idle > 0 && !ls.closed {
			ls.wake(left)
		}
	}
	for _, l := range done {
		ls.log.Debug("closing an idle volume", "volume", l.vol.name, "idle", now.Sub(l.since).Round(time.Millisecond))
		ls.background.Go(func() { ls.finish(l) })
	}
	ls.mu.Unlock()
}

// holds tells whether a volume is open, or about to be.
func (ls *leases) holds(v *volume) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.held[v] != nil
}

// anyPassed reports whether a file is read past the tree, so that its readers do not ask.
func (ls *leases) anyPassed() bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, l := range ls.held {
		for f := range l.files {
			if f.passed {
				return true
			}
		}
	}
	return false
}

// abandon closes a volume that is not what it was any more, or nothing. Who has files
// of it open past the tree gets errors from then on: what lies there now is another
// volume's, or being written.
func (ls *leases) abandon(v *volume) {
	ls.forget(v)
	ls.mu.Lock()
	l := ls.held[v]
	if l == nil || l.closing {
		ls.mu.Unlock()
		return
	}
	l.refs++
	ls.mu.Unlock()
	go func() {
		<-l.ready
		if l.err == nil {
			if err := l.content.revoke(context.Background()); err != nil {
				ls.log.Warn("a volume that is in use by somebody else is still read", "volume", v.name, "error", err)
			}
		}
		ls.release(l)
	}()
}

// forget closes a volume that nobody uses.
func (ls *leases) forget(v *volume) {
	ls.mu.Lock()
	l := ls.held[v]
	if l == nil || l.place == nil {
		ls.mu.Unlock()
		return
	}
	ls.retire(l)
	ls.mu.Unlock()
	ls.finish(l)
}

// passBy closes a volume soon that nobody uses.
func (ls *leases) passBy(v *volume) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l := ls.held[v]; l != nil && l.place != nil {
		l.passed = true
		ls.wake(passing)
	}
}

// open counts the volumes of a pool that are open now.
func (ls *leases) open(p *pool) int {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	n := 0
	for v, l := range ls.held {
		select {
		case <-l.ready:
			if v.pool == p {
				n++
			}
		default:
		}
	}
	return n
}

// shown is how a volume that is open is shown where somebody uses it.
func (ls *leases) shown(v *volume) (Live, bool) {
	ls.mu.Lock()
	l := ls.held[v]
	ls.mu.Unlock()
	if l == nil {
		return "", false
	}
	select {
	case <-l.ready:
		if l.err == nil {
			return l.content.shown()
		}
	default:
	}
	return "", false
}

// shutdown closes all volumes that nobody uses, and makes the others close as
// soon as they are released.
func (ls *leases) shutdown() {
	ls.mu.Lock()
	ls.closed = true
	ls.stop()
	if ls.timer != nil {
		ls.timer.Stop()
		ls.timer = nil
	}
	var done []*lease
	for front := ls.unused.Front(); front != nil; front = ls.unused.Front() {
		l := front.Value.(*lease)
		ls.retire(l)
		done = append(done, l)
	}
	ls.mu.Unlock()
	for _, l := range done {
		ls.finish(l)
	}
	ls.background.Wait()
}
