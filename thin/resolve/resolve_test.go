package resolve

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// realTemp makes a temporary folder, and returns its path without links.
func realTemp(t testing.TB) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// layOut makes entries in a folder: folders ("name/"), links ("name -> target") and files
// ("name").
func layOut(t testing.TB, dir string, entries ...string) {
	t.Helper()
	for _, e := range entries {
		name, target, isLink := strings.Cut(e, " -> ")
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch {
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		case isLink:
			err = errors.Join(err, os.Symlink(target, path))
		default:
			err = errors.Join(err, os.WriteFile(path, []byte(name), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// same checks that a path leads to the same file as in the kernel.
func same(t *testing.T, path string) {
	t.Helper()
	var want unix.Stat_t
	wantErr := unix.Stat(path, &want)
	got, err := Stat(path)
	if wantErr != nil {
		if !errors.Is(err, wantErr) {
			t.Errorf("%s: %v, want %v", path, err, wantErr)
		}
		return
	}
	if err != nil || got.Dev != want.Dev || got.Ino != want.Ino {
		t.Errorf("%s: %d:%d, %v, want %d:%d", path, got.Dev, got.Ino, err, want.Dev, want.Ino)
		return
	}
	real, err := Real(path)
	if want, e := filepath.EvalSymlinks(path); err != nil || e != nil || real != want {
		t.Errorf("%s is %s, %v, want %s, %v", path, real, err, want, e)
	}
	fd, err := Open(path, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	defer unix.Close(fd)
	if err := unix.Fstat(fd, &got); err != nil || got.Ino != want.Ino {
		t.Errorf("%s: %d is open, %v, want %d", path, got.Ino, err, want.Ino)
	}
}

func TestPathsLeadWhereTheKernelLeads(t *testing.T) {
	t.Parallel()
	dir := realTemp(t)
	layOut(t, dir, "a/b/c/", "a/file", "a/up -> ..", "a/b/link -> ../file", "round -> a/round", "a/round -> ../round", "itself -> itself",
		"dangling -> a/nothing", "dangling2 -> nothing/a", "through -> a/file/x", "chain -> chain2", "chain2 -> a/b", "out -> /proc/self/status")
	if err := os.Symlink(filepath.Join(dir, "a/b"), filepath.Join(dir, "absolute")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"", ".", "a", "a/", "a//b/./c", "a/b/c/../../file", "a/up/a/file", "a/b/link", "a/b/link/", "round", "itself", "itself/x", "dangling", "dangling/x",
		"dangling2", "through", "chain/c", "chain/link", "chain/../file", "absolute/c", "absolute/../file", "a/file/x", "nothing", "nothing/..",
		strings.Repeat("../", 100) + "etc", "a/" + strings.Repeat("n", 256),
	} {
		same(t, dir+"/"+path)
	}
	// Links in /proc may lead to files without a lasting path.
	for _, path := range []string{dir + "/out", "/proc/self/exe", "/proc/self/root/etc", "/proc/self", "/", "/..", "/sys/class/block"} {
		var want unix.Stat_t
		if err := unix.Stat(path, &want); err != nil {
			t.Fatal(err)
		}
		if got, err := Stat(path); err != nil || got.Ino != want.Ino || got.Dev != want.Dev {
			t.Errorf("%s: %d:%d, %v, want %d:%d", path, got.Dev, got.Ino, err, want.Dev, want.Ino)
		}
	}
}

func TestRandomPathsLeadWhereTheKernelLeads(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		dir := realTemp(t)
		folders := []string{""}
		name := func() string { return string(rune('a' + random.IntN(4))) }
		path := func() string {
			parts := []string{folders[random.IntN(len(folders))]}
			for range random.IntN(4) {
				parts = append(parts, []string{"..", ".", name(), name()}[random.IntN(4)])
			}
			return strings.Join(parts, "/")
		}
		for range 30 {
			at := filepath.Join(folders[random.IntN(len(folders))], name())
			switch random.IntN(4) {
			case 0:
				if os.Mkdir(filepath.Join(dir, at), 0o755) == nil {
					folders = append(folders, at)
				}
			case 1:
				_ = os.WriteFile(filepath.Join(dir, at), nil, 0o600)
			case 2:
				_ = os.Symlink(strings.TrimPrefix(path(), "/"), filepath.Join(dir, at))
			case 3:
				_ = os.Symlink(dir+"/"+path(), filepath.Join(dir, at))
			}
		}
		for range 100 {
			same(t, dir+"/"+path())
		}
	}
}

// If a link were followed out of the folder it would lead to a decoy.
func TestLinksDoNotLeadOutOfTheFolder(t *testing.T) {
	t.Parallel()
	dir := realTemp(t)
	layOut(t, dir, "mnt/big/data", "host/mnt/big/", "secret")
	disk := filepath.Join(dir, "disk")
	layOut(t, disk, "a/absolute -> /mnt/big/data", "a/relative -> ../mnt/big/data", "a/far -> ../../../../mnt/big/data", "mnt/big/data",
		"a/host -> "+dir+"/secret", "a/out -> ../../secret", "a/up -> ..", "a/root -> /", "a/proc -> /proc/self/root"+dir+"/secret")
	for path, want := range map[string]string{
		"a/absolute": "mnt/big/data", "a/relative": "mnt/big/data", "a/far": "mnt/big/data", "a/root/mnt": "mnt", "a/up/a/up/mnt/big": "mnt/big", "": "",
	} {
		if got, err := Within(disk, filepath.Join(disk, path)); err != nil || got != filepath.Join(disk, want) {
			t.Errorf("%s: %s, %v", path, got, err)
		}
	}
	for path, target := range map[string]string{"a/host": dir + "/secret", "a/out": "../../secret", "a/proc": "/proc/self/root" + dir + "/secret"} {
		_, err := Within(disk, filepath.Join(disk, path))
		link, ok := errors.AsType[*LinkError](err)
		if !ok || link.Link != filepath.Join(disk, path) || link.Target != target || link.Within != disk || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
	// Links on the way to the folder are followed as usual.
	layOut(t, dir, "way -> "+disk)
	if got, err := Within(dir+"/way", dir+"/way/a/absolute"); err != nil || got != disk+"/mnt/big/data" {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := Within(disk, dir+"/disk2/a"); !errors.Is(err, unix.EXDEV) {
		t.Errorf("a path outside the folder: %v", err)
	}
}

func TestErrorAfterALinkDoesNotBlameTheLink(t *testing.T) {
	t.Parallel()
	dir := realTemp(t)
	layOut(t, dir, "a/b/", "link -> a")
	_, err := Real(dir + "/link/b/nothing")
	if errors.As(err, new(*LinkError)) || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), dir+"/link/b/nothing") {
		t.Error(err)
	}
}

func TestAtFollowsNoLink(t *testing.T) {
	t.Parallel()
	dir := realTemp(t)
	layOut(t, dir, "a/b/file", "a/link -> b", "a/b/last -> file")
	folder, err := Open(dir+"/a", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(folder)
	for name, at := range map[string]func(int, string, int) (int, error){"openat2": At, "walk": walkAt} {
		for path, want := range map[string]error{
			"b/file": nil, "b": nil, "link/file": unix.ELOOP, "b/last": unix.ELOOP, "b/nothing": unix.ENOENT, "b/file/x": unix.ENOTDIR,
		} {
			fd, err := at(folder, path, unix.O_RDONLY)
			if !errors.Is(err, want) {
				t.Errorf("%s: %s: %v, want %v", name, path, err, want)
			}
			if err == nil {
				unix.Close(fd)
			}
		}
	}
}

func TestLinksOfOtherUsersInAStickyFolderAreNotFollowed(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: links of other users")
	}
	dir := realTemp(t)
	layOut(t, dir, "shared/", "shared/mine -> ..", "shared/theirs -> ..")
	if err := errors.Join(os.Chmod(dir+"/shared", 0o777|os.ModeSticky), os.Lchown(dir+"/shared/theirs", 1234, 1234)); err != nil {
		t.Fatal(err)
	}
	if _, err := Stat(dir + "/shared/mine"); err != nil {
		t.Error(err)
	}
	if _, err := Stat(dir + "/shared/theirs"); !errors.Is(err, unix.EACCES) {
		t.Error(err)
	}
}

func TestWalkLeavesNoDescriptorOpen(t *testing.T) {
	dir := realTemp(t)
	layOut(t, dir, "a/b/c/", "a/link -> b/../b/c", "a/loop -> loop", "a/none -> b/nothing", strings.Repeat("d/", 300))
	count := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	use := func() {
		for _, path := range []string{"a/link", "a/loop", "a/none", "a/b/c", "x", strings.Repeat("d/", 300)} {
			_, _ = Stat(dir + "/" + path)
			_, _ = Within(dir, dir+"/"+path)
			_, _ = Trail(dir + "/" + path)
			if fd, err := Open(dir+"/"+path, unix.O_RDONLY); err == nil {
				unix.Close(fd)
			}
		}
	}
	use()
	before := count()
	use()
	if after := count(); after != before {
		t.Errorf("%d descriptors were open, now %d are", before, after)
	}
}

func TestTrailListsEachFolderOnTheWay(t *testing.T) {
	t.Parallel()
	dir := realTemp(t)
	layOut(t, dir, "a/file", "b/c/link -> ../../a", "b/none -> ../a/none")
	has := func(path, folder string) bool {
		var st unix.Stat_t
		if err := unix.Stat(folder, &st); err != nil {
			t.Fatal(err)
		}
		trail, _ := Trail(path)
		for _, id := range trail {
			if id == (ID{st.Dev, st.Ino}) {
				return true
			}
		}
		return false
	}
	for _, path := range []string{"/", "", "b", "b/c", "a", "a/file"} {
		if !has(dir+"/b/c/link/file", filepath.Join(dir, path)) {
			t.Errorf("%q is not on the trail", path)
		}
	}
	if has(dir+"/a/file", dir+"/b") || !has(dir+"/b/none", dir+"/a") {
		t.Error("wrong trail")
	}
}

func BenchmarkWays(b *testing.B) {
	dir := realTemp(b)
	layOut(b, dir, "var/lib/docker/devicemapper/metadata/", "id/config")
	deep := filepath.Join(dir, "var/lib/docker/devicemapper/metadata")
	folder, err := unix.Open(dir, unix.O_RDONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	for name, way := range map[string]func() error{
		"stat(2)":    func() error { return unix.Stat(deep, new(unix.Stat_t)) },
		"Stat":       func() error { _, err := Stat(deep); return err },
		"fstatat(2)": func() error { return unix.Fstatat(folder, "id/config", new(unix.Stat_t), 0) },
		"At":         func() error { return closed(At(folder, "id/config", unix.O_PATH)) },
		"walk":       func() error { return closed(walkAt(folder, "id/config", unix.O_PATH)) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := way(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func closed(fd int, err error) error {
	if err != nil {
		return err
	}
	return unix.Close(fd)
}
