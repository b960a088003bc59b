package manifest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"thintree/volfs"
)

// CheckFolder holds one folder of a filesystem to the contract of volfs.FS:
// each name that ReadDir lists is found by Lookup with the same inode number,
// each name made from one of them by a small change is ENOENT unless listed,
// and a listing resumed after an entry gives those that follow it. It returns
// the first fault.
func CheckFolder(ctx context.Context, fs volfs.FS, dir volfs.Ino) error {
	entries, err := readDir(ctx, fs, dir, 0, -1)
	if err != nil {
		return fmt.Errorf("folder %d: %w", dir, err)
	}
	if err := checkLookups(ctx, fs, dir, entries); err != nil {
		return fmt.Errorf("folder %d: %w", dir, err)
	}
	if err := checkResume(ctx, fs, dir, entries); err != nil {
		return fmt.Errorf("folder %d: %w", dir, err)
	}
	return nil
}

func checkLookups(ctx context.Context, fs volfs.FS, dir volfs.Ino, entries []volfs.DirEntry) error {
	listed := make(map[string]bool, len(entries))
	for _, d := range entries {
		listed[d.Name] = true
	}
	if !listed["."] || !listed[".."] {
		return errors.New(`"." and ".." are not both listed`)
	}
	for _, d := range entries {
		ino, err := fs.Lookup(ctx, dir, d.Name)
		if d.Name == "." || d.Name == ".." {
			if !errors.Is(err, syscall.ENOENT) {
				return fmt.Errorf("Lookup(%.80q) = %d, %v, want ENOENT", d.Name, ino, err)
			}
			continue
		}
		if err != nil || ino != d.Ino {
			return fmt.Errorf("Lookup(%.80q) = %d, %v, and ReadDir tells %d", d.Name, ino, err, d.Ino)
		}
		absent := d.Name[:len(d.Name)-1] + string([]byte{d.Name[len(d.Name)-1] ^ 1})
		if strings.ContainsAny(absent, "/\x00") || listed[absent] {
			continue
		}
		if ino, err := fs.Lookup(ctx, dir, absent); !errors.Is(err, syscall.ENOENT) {
			return fmt.Errorf("Lookup(%.80q), which is not listed: %d, %v, want ENOENT", absent, ino, err)
		}
	}
	long := strings.Repeat("x", 256)
	if _, err := fs.Lookup(ctx, dir, long); !errors.Is(err, syscall.ENAMETOOLONG) {
		return fmt.Errorf("a name of 256 bytes: %v, want ENAMETOOLONG", err)
	}
	if _, err := fs.Lookup(ctx, dir, ""); err == nil {
		return errors.New("an empty name is found")
	}
	return nil
}

// checkResume lists again in pieces, and from a few places to the end.
func checkResume(ctx context.Context, fs volfs.FS, dir volfs.Ino, entries []volfs.DirEntry) error {
	cookies := map[uint64]bool{0: true}
	for _, d := range entries {
		if cookies[d.Cookie] {
			return fmt.Errorf("cookie %d of %q is 0 or another entry's", d.Cookie, d.Name)
		}
		cookies[d.Cookie] = true
	}
	piece := max(1, len(entries)/40)
	for from := 0; from <= len(entries); from += piece {
		cookie := uint64(0)
		if from > 0 {
			cookie = entries[from-1].Cookie
		}
		rest, err := readDir(ctx, fs, dir, cookie, piece)
		if err != nil {
			return fmt.Errorf("after entry %d: %w", from, err)
		}
		want := entries[from:min(len(entries), from+piece)]
		if len(rest) != len(want) {
			return fmt.Errorf("after entry %d: %d entries, want %d", from, len(rest), len(want))
		}
		for i := range rest {
			if rest[i] != want[i] {
				return fmt.Errorf("after entry %d: %+v, want %+v", from+i, rest[i], want[i])
			}
		}
	}
	return nil
}

// CheckKind holds the answers about an inode that is of another kind than what
// is asked to the contract of volfs.FS. It returns the first fault.
func CheckKind(ctx context.Context, fs volfs.FS, a volfs.Attr) error {
	expect := func(call string, err error, want syscall.Errno) error {
		if errors.Is(err, want) {
			return nil
		}
		return fmt.Errorf("%s of inode %d (type %o): %v, want %v", call, a.Ino, a.Mode>>12, err, want)
	}
	kind := a.Mode & syscall.S_IFMT
	var faults []error
	if kind != syscall.S_IFDIR {
		_, err := fs.Lookup(ctx, a.Ino, "x")
		faults = append(faults, expect("Lookup", err, syscall.ENOTDIR))
		err = fs.ReadDir(ctx, a.Ino, 0, func(volfs.DirEntry) bool { return true })
		faults = append(faults, expect("ReadDir", err, syscall.ENOTDIR))
	}
	if kind != syscall.S_IFLNK {
		_, err := fs.Readlink(ctx, a.Ino)
		faults = append(faults, expect("Readlink", err, syscall.EINVAL))
	}
	if kind != syscall.S_IFREG {
		want := syscall.EINVAL
		if kind == syscall.S_IFDIR {
			want = syscall.EISDIR
		}
		f, err := fs.Open(ctx, a.Ino)
		if err == nil {
			f.Close()
		}
		faults = append(faults, expect("Open", err, want))
	}
	_, err := fs.Xattr(ctx, a.Ino, "user.there is no such")
	faults = append(faults, expect("Xattr", err, syscall.ENODATA))
	return errors.Join(faults...)
}
