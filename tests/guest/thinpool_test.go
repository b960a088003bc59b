package guest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"thintree/thin"
)

// lab is where pools are made: a folder on a filesystem that has O_DIRECT, and
// the kernel's device-mapper.
type lab struct {
	*thin.Kernel
	dir string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	dir := mounted(t, loop(t, filepath.Join(t.TempDir(), "image"), 600*mib))
	k, err := thin.OpenKernel()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{k, dir}
	t.Cleanup(func() { noError(t, l.Close()) })
	return l
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// poolName is what all pools are called here.
const poolName = "thinpool"

// config is of a pool on two files of its own.
func (l *lab) config(files string) thin.PoolConfig {
	return thin.PoolConfig{Name: poolName, Metadata: l.path(files + "-metadata"), Data: l.path(files + "-data")}
}

// create makes a pool with 64 MiB of data on new files. It is active until the
// test ends, at most.
func (l *lab) create(t *testing.T, files string, f thin.Features) *thin.Pool {
	t.Helper()
	c := l.config(files)
	c.Features = f
	p, err := l.CreatePool(t.Context(), thin.NewPool{PoolConfig: c, MetadataBytes: 2 * mib, DataBytes: 64 * mib})
	noError(t, err)
	t.Cleanup(func() { deactivatePool(t, p) })
	return p
}

// noError is for what is no question of the test.
func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wants fails unless an error is the one that is wanted, which may be nil.
func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// wantsType fails unless an error is of a type.
func wantsType[E error](t *testing.T, what string, err error) (as E) {
	t.Helper()
	if !errors.As(err, &as) {
		t.Errorf("%s: %v, want a %T", what, err, as)
	}
	return as
}

// deactivatePool removes the pool, at once.
func deactivatePool(t *testing.T, p *thin.Pool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), seconds)
	defer cancel()
	noError(t, p.Deactivate(ctx))
}

// leavesNothing fails unless all that there is at the end was there before: dm
// devices, whether they run, loop devices, files with their lengths.
func (l *lab) leavesNothing(t *testing.T, name string, do func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Helper()
		before := l.things(t)
		do(t)
		within(t, seconds, "all is as it was", func() error {
			if now := l.things(t); !slices.Equal(now, before) {
				return fmt.Errorf("%q, and before %q", now, before)
			}
			return nil
		})
	})
}

func (l *lab) things(t *testing.T) (things []string) {
	t.Helper()
	list, err := l.DM().List(t.Context())
	noError(t, err)
	for _, d := range list {
		info, err := l.DM().Info(t.Context(), d.Name)
		noError(t, err)
		things = append(things, fmt.Sprintf("dm %s suspended %v", d.Name, info.Suspended))
	}
	loops, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	noError(t, err)
	for _, file := range loops {
		text, err := os.ReadFile(file)
		noError(t, err)
		things = append(things, "loop "+string(text))
	}
	noError(t, filepath.WalkDir(l.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			things = append(things, fmt.Sprintf("file %s %d", path, info.Size()))
		}
		return err
	}))
	slices.Sort(things)
	return things
}

// dmsetup asks the program about a device, whose answer has a line.
func dmsetup(t *testing.T, command, name string) string {
	t.Helper()
	return strings.TrimSpace(sh(t, "dmsetup "+command+" "+name))
}

// statusAgrees fails unless a pool's status is what dmsetup prints, and gives it.
func statusAgrees(t *testing.T, p *thin.Pool) (s thin.PoolStatus) {
	t.Helper()
	// What is being written out can come between the two.
	within(t, seconds, "the status is what dmsetup prints", func() (err error) {
		if s, err = p.Status(t.Context()); err != nil {
			return err
		}
		line := dmsetup(t, "status --noflush", p.Name())
		_, params, _ := strings.Cut(line, " thin-pool ")
		want, err := thin.ParsePoolStatus(params)
		if err != nil || s != want || !strings.Contains(line+" ", " "+string(s.Mode)+" ") {
			return fmt.Errorf("%+v, and dmsetup prints %q: %w", s, line, err)
		}
		return nil
	})
	return s
}

// stillMounted is like mounted, and nothing writes to the filesystem by itself.
func stillMounted(t *testing.T, device string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	sh(t, "mkfs.ext4 -q "+device+" && mount -o noinit_itable "+device+" "+dir)
	t.Cleanup(func() { sh(t, "! mountpoint -q "+dir+" || umount "+dir) })
	return dir
}

// briefly is for what should fail because somebody has a device open.
func briefly(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), 300*time.Millisecond)
}
