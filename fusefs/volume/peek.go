package volume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"thintree/thin/block"
	"thintree/volfs"
	"thintree/volfs/probe"
)

// Peek is the result of a short look at a root: enough to list it without keeping its volume
// open. It does not change once it was returned.
type Peek struct {
	// Found is what was recognised.
	Found probe.Result
	// SizeBytes is the length of the volume or partition.
	SizeBytes int64
	// Err is why no filesystem could be read; nil if one was read.
	Err error

	at    time.Time
	live  bool // somebody could write to the volume during the peek
	fs    *fsPeek
	short string // what does not fit into the root, "" if everything does: see Root.tooShort
	// shortPart is the same for the partitions; nil until it is known.
	shortPart atomic.Pointer[string]
	parts     []Part
}

// Parts are the parts at the root of the peek. If there are any, it has no filesystem.
func (p *Peek) Parts() []Part { return p.parts }

// fsPeek is the part of a Peek that was read from a filesystem.
type fsPeek struct {
	info volfs.Info
	// statfs is nil until it is known: see Opener.Statfs.
	statfs atomic.Pointer[volfs.Statfs]
	root   Folder
	// inner is the folder with the contents that people look for, if the volume's record
	// names one; nil otherwise.
	inner *Folder
	// unmounted says that the filesystem is known to have been unmounted cleanly.
	unmounted bool
	// opened says that the volume had to be opened for the peek, because a journal had to be
	// replayed or the direct engine cannot read the filesystem.
	opened bool
	// entries are those of the root folder, if the kernel reads the volume: its first
	// answers take long. nil if they are not known.
	entries []volfs.DirEntry
}

// Folder is a folder's attributes and extended attributes.
type Folder struct {
	Attr   volfs.Attr
	Xattrs map[string][]byte
}

// HasFS reports whether a filesystem was read.
func (p *Peek) HasFS() bool { return p.fs != nil }

// Root is the root folder of the filesystem, nil if none was read.
func (p *Peek) Root() *Folder { return p.Folder(0) }

// Inner is the folder below the root with the contents that people look for, nil if there is
// none: see meta.Volume.Root.
func (p *Peek) Inner() *Folder {
	if p.fs == nil {
		return nil
	}
	return p.fs.inner
}

// Entries are the entries of the root folder, nil if they are not known.
func (p *Peek) Entries() []volfs.DirEntry {
	if p.fs == nil {
		return nil
	}
	return p.fs.entries
}

// Folder is the folder with an inode number, nil if the peek did not read that folder. The
// inode number 0 stands for the root folder.
func (p *Peek) Folder(ino volfs.Ino) *Folder {
	switch {
	case p.fs == nil:
		return nil
	case ino == 0:
		return &p.fs.root
	case p.fs.inner != nil && ino == p.fs.inner.Attr.Ino:
		return p.fs.inner
	}
	return nil
}

// peeker keeps the last peek of a root. Many callers may wait for the next one.
type peeker struct {
	last atomic.Pointer[Peek]
	mu   sync.Mutex
	now  *flight[*Peek] // the peek that is being taken; guarded by mu
}

// valid reports whether a peek is still valid. It stays valid for ever if the volume cannot
// change, and no longer than fresh if it can. After an error it is valid no longer than
// fresh, because the cause may pass.
func (p *Peek) valid(live bool) bool {
	if p == nil {
		return false
	}
	return p.Err == nil && !live && !p.live || time.Since(p.at) < fresh
}

// LastPeek is the last peek, nil if there is none that is still valid.
func (r *Root) LastPeek() *Peek {
	if p := r.peeks.last.Load(); p.valid(r.Volume.Live()) {
		return p
	}
	return nil
}

// Peek returns the last peek of a root if that is still valid, and otherwise reads the few
// blocks that a listing needs. If the volume has to be opened for that, Peek calls open, which
// opens the volume and calls use with its contents. Peek returns an error if the volume cannot
// be reached at all. Problems with its contents are in the Peek.
func (o *Opener) Peek(ctx context.Context, r *Root, open func(ctx context.Context, use func(*Contents) error) error) (*Peek, error) {
	for {
		if p := r.LastPeek(); p != nil {
			return p, nil
		}
		f, mine := r.peeks.join()
		if mine {
			f.start(ctx, func(ctx context.Context) (*Peek, error) { return o.nextPeek(ctx, r, open) })
		}
		if err := o.Await(ctx, r.Volume, f.done); err != nil {
			return nil, err
		}
		if !errors.Is(f.err, errUnopened) { // otherwise it is of PeekAhead
			return f.value, f.err
		}
	}
}

// PeekAhead takes a peek of a root for callers of Peek that will come soon, unless there is a valid
// one, or one is being taken. It does nothing if the volume has to be opened for that.
func (o *Opener) PeekAhead(ctx context.Context, r *Root) {
	if r.LastPeek() != nil {
		return
	}
	if f, mine := r.peeks.join(); mine {
		f.value, f.err = o.nextPeek(ctx, r, nil)
		close(f.done)
	}
}

// join returns the peek that is being taken. If there is none, mine is true, and the caller must
// take one.
func (k *peeker) join() (f *flight[*Peek], mine bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.now == nil {
		k.now, mine = newFlight[*Peek](), true
	}
	return k.now, mine
}

// nextPeek takes the peek that others wait for, and keeps it.
func (o *Opener) nextPeek(ctx context.Context, r *Root, open func(context.Context, func(*Contents) error) error) (*Peek, error) {
	p, err := o.takePeek(ctx, r, open)
	if err == nil {
		o.share(p)
		r.peeks.last.Store(p)
	}
	r.peeks.mu.Lock()
	defer r.peeks.mu.Unlock()
	r.peeks.now = nil
	return p, err
}

// takePeek takes a peek. If open is nil and the volume has to be opened, the error is errUnopened.
func (o *Opener) takePeek(ctx context.Context, r *Root, open func(context.Context, func(*Contents) error) error) (p *Peek, err error) {
	at, live := time.Now(), r.Volume.Live()
	var unreached error
	err = r.Volume.peek(ctx, func(open func(int64) (device, error)) error {
		p, unreached = o.peekAt(ctx, r, open)
		return nil
	})
	switch {
	case err != nil:
		p = &Peek{SizeBytes: r.Volume.sizeBytes, Err: fmt.Errorf("%s: %w", r.Volume.name, err)}
	case unreached != nil:
		return nil, unreached
	case errors.Is(p.Err, errUnopened) && open == nil:
		return nil, errUnopened
	case errors.Is(p.Err, errUnopened):
		p.Err = open(ctx, func(c *Contents) error {
			return c.With(ctx, r, func(fs volfs.FS) (err error) {
				if p.fs, err = peekMounted(ctx, fs, r.Volume.Record().Root); err == nil {
					p.fs.opened = true
				}
				return err
			})
		})
	}
	p.Err = unread(p.Err)
	p.at, p.live = at, live || r.Volume.Live()
	return p, nil
}

// share makes a peek use the list of features of another one if they are the same, as those of
// most volumes are.
func (o *Opener) share(p *Peek) {
	if p.fs == nil {
		return
	}
	if last := o.features.Load(); last != nil && slices.Equal(*last, p.fs.info.Features) {
		p.fs.info.Features = *last
	} else {
		o.features.Store(&p.fs.info.Features)
	}
}

func (o *Opener) peekAt(ctx context.Context, r *Root, open func(int64) (device, error)) (*Peek, error) {
	c, err := o.readContents(ctx, r.Volume, open)
	if err != nil {
		return &Peek{SizeBytes: r.Volume.sizeBytes, Err: err}, nil
	}
	defer c.Close()
	p := &Peek{}
	var at block.Reader
	if !r.Place.IsGroup() {
		at, p.Found, p.Err = c.probe(ctx, r)
		if at == nil {
			return nil, p.Err
		}
		p.SizeBytes = at.Size()
	}
	if r.Place.IsWhole() {
		p.short = r.tooShort(p.Found, at.Size())
		o.tellShort(r, p.short)
	}
	if r.Volume.Record().MayHavePartitions() {
		var lost error
		if p.parts, lost = c.parts(ctx, r.Place, p.Found); lost != nil {
			p.Err = fmt.Errorf("%s: %w", r, lost)
			return p, nil
		}
	}
	switch {
	case len(p.parts) > 0:
		p.Err = nil
	case p.Err == nil:
		p.fs, p.Err = o.peekContents(ctx, c, r, at, p.Found)
	}
	return p, nil
}

// errUnopened says that a peek has to open the volume.
var errUnopened = errors.New("its contents are known only when it is open")

// peekContents reads a few blocks of a filesystem. It uses the direct engine if that shows the
// same as the open volume would, because a mount takes too long for a few blocks. If it does
// not show the same the error is errUnopened.
func (o *Opener) peekContents(ctx context.Context, c *Contents, r *Root, at block.Reader, found probe.Result) (*fsPeek, error) {
	inner := r.Volume.Record().Root
	sig := found.Signatures[0]
	room, err := c.room(ctx, r.Place)
	if err != nil {
		return nil, err
	}
	o.tellShort(r, r.tooShort(found, room))
	by, err := o.choose(ctx, r, found, room)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r, err)
	}
	if by.live == LiveAuto || by.live == LiveBind {
		if fs, err := o.openMounted(ctx, by, r, infoOf(sig)); err == nil {
			defer fs.Close()
			return peekMounted(ctx, fs, inner)
		}
	}
	if by.engine == EngineKernel && !o.readsDirectly(sig.Type) {
		return nil, errUnopened
	}
	fs, err := o.openDirect(ctx, sig.Type, at, found)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r, err)
	}
	defer fs.Close()
	if by.orDirect != "" && !o.replays(fs.Info()) {
		by.readDirectly()
	}
	if by.engine == EngineDirect {
		return peekFS(ctx, fs, inner)
	}
	if fs.Info().Dirty {
		return nil, errUnopened
	}
	f, err := peekFS(ctx, fs, inner)
	if err == nil {
		f.unmounted, f.entries = true, fewEntries(ctx, fs, f.root.Attr)
	}
	return f, err
}

// MaxEntries is how many entries of the root folder a peek reads.
const MaxEntries = 100

// maxRootBytes is the largest size of a root folder whose entries a peek reads. A folder that
// once had many entries stays large.
const maxRootBytes = 32 << 10

// fewEntries lists the root folder. It returns nil if there are too many entries, or if the
// folder cannot be read.
func fewEntries(ctx context.Context, fs volfs.FS, root volfs.Attr) (list []volfs.DirEntry) {
	if root.Size > maxRootBytes {
		return nil
	}
	err := fs.ReadDir(ctx, fs.Root(), 0, func(e volfs.DirEntry) bool {
		list = append(list, e)
		return len(list) <= MaxEntries
	})
	if err != nil || len(list) > MaxEntries {
		return nil
	}
	return list
}

// peekMounted is peekFS of a filesystem that is mounted in the kernel. It also reads how full
// the filesystem is, which the kernel knows.
func peekMounted(ctx context.Context, fs volfs.FS, inner string) (*fsPeek, error) {
	f, err := peekFS(ctx, fs, inner)
	if err != nil {
		return nil, err
	}
	s, err := fs.Statfs(ctx)
	if err != nil {
		return nil, err
	}
	f.statfs.Store(&s)
	return f, nil
}

// peekFS reads a filesystem's root folder, and the folder in it that is named inner, if any.
func peekFS(ctx context.Context, fs volfs.FS, inner string) (*fsPeek, error) {
	f := &fsPeek{info: fs.Info()}
	root, err := peekFolder(ctx, fs, fs.Root())
	if err != nil {
		return nil, err
	}
	f.root = *root
	if inner == "" {
		return f, nil
	}
	ino, err := fs.Lookup(ctx, fs.Root(), inner)
	if errors.Is(err, syscall.ENOENT) {
		return f, nil
	}
	if err == nil {
		f.inner, err = peekFolder(ctx, fs, ino)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

func peekFolder(ctx context.Context, fs volfs.FS, ino volfs.Ino) (*Folder, error) {
	attr, err := fs.Stat(ctx, ino)
	if err != nil || !attr.HasXattrs {
		return &Folder{Attr: attr}, err
	}
	names, err := fs.Xattrs(ctx, ino)
	if err != nil {
		return nil, err
	}
	p := &Folder{Attr: attr, Xattrs: make(map[string][]byte, len(names))}
	for _, name := range names {
		if p.Xattrs[name], err = fs.Xattr(ctx, ino, name); err != nil {
			return nil, err
		}
	}
	return p, nil
}
