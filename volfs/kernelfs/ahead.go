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
	maxParts = 16  // that are kept
)

// ahead are parts of folders that were read before somebody asks for them: who lists a
// folder with attributes asks for some dozens of entries at a time, and deals with them
// while the next are read. Who walks from folder to folder deals with one of them while
// the next ones are read. A nil one reads nothing ahead.
type ahead struct {
	ctx     context.Context
	stop    context.CancelFunc
	start   sync.Once
	work    chan *part // for the thread that reads
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
	cookie uint64 // of the entry before

	read    func() // sets these, once; whoever comes first calls it
	entries []withAttr
	end     bool // nothing follows
}

// withAttr is an entry of a folder with its attributes, if they are known.
type withAttr struct {
	volfs.DirEntry
	attr  volfs.Attr
	known bool
}

// to calls emit with the entry.
func (e *withAttr) to(emit func(volfs.DirEntry, *volfs.Attr) bool) bool {
	if !e.known {
		return emit(e.DirEntry, nil)
	}
	return emit(e.DirEntry, &e.attr)
}

// emit calls to with the entries after a cookie, as far as they were read ahead, and
// gives the cookie of the last one that was taken. done says that there is no more to
// do: that nothing follows, or to was false.
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

// take takes the part after a cookie out, nil if there is none.
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

// keep keeps a part that has been read.
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

// found tells what was found in a folder.
func (a *ahead) found(dir volfs.Ino, entries []withAttr, first, end bool) {
	if a != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.routes.found(dir, entries, first, end)
	}
}

// ended tells that a folder was listed to its end, where the entry with a cookie is the
// last one. The next folders of a walk are read from now on.
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

// read reads on what follows the first entries of a part, which come after a cookie
// and were taken from l already; if that is nil the folder is not open yet. It closes
// l.
func (a *ahead) read(f *FS, l *listing, dir volfs.Ino, cookie uint64, first []withAttr) {
	a.start.Do(func() { a.reading.Go(a.readAll) })
	p := &part{dir: dir, cookie: cookie, entries: first}
	p.read = sync.OnceFunc(func() {
		var err error
		if l == nil {
			if l, err = f.openListing(a.ctx, dir, cookie); err != nil {
				return // who comes there meets the error itself
			}
		}
		defer l.close()
		p.entries, p.end, _ = f.readPart(a.ctx, l, first, maxAhead)
	})
	select {
	case a.work <- p:
		a.add(p)
	default: // more is asked for than one thread can read
		if l != nil {
			l.close()
		}
	}
}

// readAll reads what is asked for, in a thread of its own: so the kernel lets it go on
// while requests come and go. Who comes to a part before it reads that itself.
func (a *ahead) readAll() {
	runtime.LockOSThread()
	for p := range a.work {
		p.read()
	}
}

// close ends what is being read. Nothing must be asked for any more.
func (a *ahead) close() {
	if a != nil {
		a.stop()
		close(a.work)
		a.reading.Wait()
	}
}
