package kernelfs

import (
	"context"
	"runtime"
	"slices"
	"sync"

	"thintree/volfs"
)

const (
	maxAhead = 128 // entries in a part
	maxParts = 16  // how many are kept
)

// ahead reads parts of folders ahead. A listing with attributes asks for a few dozen
// entries at a time; the next part is read while the caller handles these. A walk goes
// from folder to folder; the next folders are read while it is in one. A nil *ahead reads
// nothing ahead.
type ahead struct {
	ctx     context.Context
	stop    context.CancelFunc
	start   sync.Once
	work    chan *part // for the thread of readAll
	reading sync.WaitGroup

	mu     sync.Mutex
	parts  []*part // the oldest first; guarded by mu
	routes routes  // guarded by mu
}

func newAhead() *ahead {
	a := &ahead{work: make(chan *part, maxParts)}
	a.ctx, a.stop = context.WithCancel(context.Background())
	return a
}

// part is a part of a folder.
type part struct {
	dir    volfs.Ino
	cookie uint64 // of the entry before it

	read    func() // sets the fields below, at the first call
	entries []withAttr
	end     bool // the folder ends with it
}

// withAttr is an entry of a folder with its attributes, if they are known.
type withAttr struct {
	volfs.DirEntry
	attr  volfs.Attr
	known bool
}

// to calls emit with the entry and its attributes.
func (e *withAttr) to(emit func(volfs.DirEntry, *volfs.Attr) bool) bool {
	if !e.known {
		return emit(e.DirEntry, nil)
	}
	return emit(e.DirEntry, &e.attr)
}

// emit calls to with the entries after a cookie that were read ahead, until to returns
// false. It returns the cookie of the last one for which to returned true. done says that
// the listing is over: the folder ends there, or to returned false.
func (a *ahead) emit(f *FS, dir volfs.Ino, cookie uint64, to func(volfs.DirEntry, *volfs.Attr) bool) (last uint64, done bool) {
	p := a.take(dir, cookie)
	if p == nil {
		return cookie, false
	}
	p.read()
	for i := range p.entries {
		if !p.entries[i].to(to) {
			a.keep(dir, cookie, p.entries[i:], p.end)
			return cookie, true
		}
		cookie = p.entries[i].Cookie
	}
	if p.end {
		a.ended(f, dir, cookie)
	}
	return cookie, p.end
}

// take removes and returns the part after a cookie, nil if there is none.
func (a *ahead) take(dir volfs.Ino, cookie uint64) *part {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.parts, func(p *part) bool { return p.dir == dir && p.cookie == cookie })
	if i < 0 {
		return nil
	}
	p := a.parts[i]
	a.parts = slices.Delete(a.parts, i, i+1)
	return p
}

// keep stores a part that has been read.
func (a *ahead) keep(dir volfs.Ino, cookie uint64, entries []withAttr, end bool) {
	if a != nil {
		a.add(&part{dir: dir, cookie: cookie, read: func() {}, entries: entries, end: end})
	}
}

func (a *ahead) add(p *part) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.parts) == maxParts {
		a.parts = slices.Delete(a.parts, 0, 1)
	}
	a.parts = append(a.parts, p)
}

// found records the entries of a part of a folder. first and end say that none come before
// and after it.
func (a *ahead) found(dir volfs.Ino, entries []withAttr, first, end bool) {
	if a != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.routes.found(dir, entries, first, end)
	}
}

// ended records that a folder was listed to its end, with the cookie of its last entry. It
// begins to read the next folders of a walk.
func (a *ahead) ended(f *FS, dir volfs.Ino, cookie uint64) {
	if a == nil {
		return
	}
	a.keep(dir, cookie, nil, true)
	a.mu.Lock()
	next := slices.DeleteFunc(a.routes.listed(dir), func(dir volfs.Ino) bool {
		return slices.ContainsFunc(a.parts, func(p *part) bool { return p.dir == dir })
	})
	a.mu.Unlock()
	for _, dir := range next {
		a.read(f, nil, dir, 0, nil)
	}
}

// read begins to read a part, the entries after a cookie. The first of them were read from
// l already. If l is nil, the folder is not open yet. It closes l.
func (a *ahead) read(f *FS, l *listing, dir volfs.Ino, cookie uint64, first []withAttr) {
	a.start.Do(func() { a.reading.Go(a.readAll) })
	p := &part{dir: dir, cookie: cookie, entries: first}
	p.read = sync.OnceFunc(func() {
		var err error
		if l == nil {
			if l, err = f.openListing(a.ctx, dir, cookie); err != nil {
				return // the listing of this folder returns the error
			}
		}
		defer l.close()
		p.entries, p.end, _ = f.readPart(a.ctx, l, first, maxAhead)
	})
	select {
	case a.work <- p:
		a.add(p)
	default: // the thread has enough to read
		if l != nil {
			l.close()
		}
	}
}

// readAll reads the parts in its own thread, which the kernel schedules beside those that
// serve requests. If a request needs a part first, it reads the part itself.
func (a *ahead) readAll() {
	runtime.LockOSThread()
	for p := range a.work {
		p.read()
	}
}

// close ends all reading. No other method may be called after it.
func (a *ahead) close() {
	if a != nil {
		a.stop()
		close(a.work)
		a.reading.Wait()
	}
}
