package docker

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"thintree/meta"
	"thintree/thin/block"
)

func TestRootIsRead(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	web, top := r.image("web", "one", "two")
	one, _ := r.image("one", "one")
	r.names(map[string]string{"web:2": web, "localhost:5000/team/web:2": web})
	id := r.container("c", "/stopped-web", top)
	cat := r.load(0)
	volume := func(id uint32, name, parent string, role meta.Role) meta.Volume {
		v := meta.Volume{
			Name: name, Pool: "pool", DeviceID: id, SizeBytes: 1 << 30, Parent: parent, Role: role, Root: "rootfs",
			TransactionID: uint64(id), Record: r.path(recordsDir, name),
		}
		if role == meta.RoleBase {
			v.Root = ""
		}
		return v
	}
	mount := hexID("c mount")
	want := &meta.Catalog{
		Pools: []meta.Pool{{Name: "pool", Metadata: block.At(r.path(poolDir, "metadata")), Data: block.At(r.path(poolDir, "data"))}},
		Volumes: []meta.Volume{
			volume(1, "base", "", meta.RoleBase),
			volume(2, hexID("one"), "base", meta.RoleLayer),
			volume(3, hexID("two"), hexID("one"), meta.RoleLayer),
			volume(4, mount+"-init", hexID("two"), meta.RoleInit),
			volume(5, mount, mount+"-init", meta.RoleContainer),
		},
		Containers: []meta.Container{{ID: id, Name: "stopped-web", Volume: mount, Image: "sha256:1234", Status: "running"}},
		Images: []meta.Image{
			{ID: web, Names: []string{"localhost:5000/team/web:2", "web:2"}, Volume: hexID("two")},
			{ID: one, Volume: hexID("one")},
		},
	}
	byID := func(v *meta.Catalog) map[string]any {
		m := map[string]any{"pools": v.Pools, "containers": v.Containers}
		for _, v := range v.Volumes {
			m[v.Name] = v
		}
		for _, i := range v.Images {
			m[i.ID] = i
		}
		return m
	}
	if diff := cmp.Diff(byID(want), byID(cat)); diff != "" {
		t.Error(diff)
	}
}

func TestRootIsRecognisedByItsContents(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	other := filepath.Join(filepath.Dir(r.dir), "another name")
	if err := os.Rename(r.dir, other); err != nil {
		t.Fatal(err)
	}
	for path, root := range map[string]string{other: other, other + "/devicemapper": other} {
		s := New(path, Options{})
		if got, want := s.String(), "docker:"+root; got != want || !Recognise(path) {
			t.Errorf("%s: %s instead of %s; recognised: %v", path, got, want, Recognise(path))
		}
		if cat, err := s.Load(t.Context()); err != nil || len(cat.Volumes) != 1 {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, path := range []string{filepath.Dir(other), other + "/devicemapper/metadata", other + "/missing", other + "/devicemapper/metadata/base"} {
		if Recognise(path) {
			t.Errorf("%s is recognised", path)
		}
	}
}

func TestDevicesWithoutLayersAreVolumes(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.device(hexID("x"))
	v := volume(t, r.load(0), hexID("x"))
	if v.Role != meta.RoleVolume || v.Parent != "" || v.Root != "rootfs" {
		t.Errorf("%+v", v)
	}
}

func TestErrorsForWhatIsNotARoot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	missing, empty, file := filepath.Join(dir, "missing"), filepath.Join(dir, "empty"), filepath.Join(dir, "file")
	if err := errors.Join(os.Mkdir(empty, 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	const hint = ": is this a Docker root with the devicemapper driver?"
	for path, c := range map[string]struct {
		text string
		is   error
	}{
		missing: {": no such directory", fs.ErrNotExist},
		empty:   {": devicemapper/metadata: no such directory" + hint, fs.ErrNotExist},
		file:    {": devicemapper/metadata: not a directory" + hint, unix.ENOTDIR},
	} {
		_, err := New(path, Options{}).Load(t.Context())
		if want := "docker:" + path + c.text; err == nil || err.Error() != want || !errors.Is(err, c.is) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

// asUser runs f as an unprivileged user, on a thread of its own.
func asUser(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with the goroutine
		if _, err := unix.SetfsgidRetGid(65534); err != nil {
			t.Error(err)
		}
		if _, err := unix.SetfsuidRetUid(65534); err != nil {
			t.Error(err)
		}
		f()
	}()
	<-done
}

func TestForbiddenRootIsRecognised(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	for _, dir := range []string{filepath.Dir(filepath.Dir(r.dir)), filepath.Dir(r.dir), r.dir} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(r.path(driver), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(r.path(driver), 0o700) })
	asUser(t, func() {
		_, err := r.source().Load(t.Context())
		if want := "docker:" + r.dir + ": devicemapper/metadata: permission denied: only its owner and root can read it"; err == nil || err.Error() != want || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%v\nwant %s", err, want)
		}
		if !Recognise(r.dir) {
			t.Error("not recognised")
		}
	})
}

func TestPoolOutsideTheRootMustBeNamed(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.remove(poolDir)
	_, err := r.source().Load(t.Context())
	if err == nil || !strings.Contains(err.Error(), "--pool META,DATA") || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error: %v", err)
	}
	cat, err := New(r.dir, Options{Pool: &meta.Pool{Metadata: block.At("/dev/m"), Data: block.At("/dev/d")}}).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]meta.Pool{{Name: "pool", Metadata: block.At("/dev/m"), Data: block.At("/dev/d")}}, cat.Pools); diff != "" {
		t.Error(diff)
	}
}

func TestStateIsDeletedIfTheRecordSaysSo(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.write(`{"device_id":7,"size":512,"transaction_id":1,"deleted":true}`, recordsDir, "x")
	if v := volume(t, r.load(0), "x"); v.State != meta.StateDeleted {
		t.Errorf("%+v", v)
	}
}

func TestStateIsHalfMadeWhileTheTransactionIsUnderWay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		transaction, volume string
		state               meta.State
	}{
		"open":               {`{"open_transaction_id":101,"device_hash":"x","device_id":2}`, "x", meta.StateHalf},
		"open, of the base":  {`{"open_transaction_id":101,"device_hash":"","device_id":1}`, "base", meta.StateHalf},
		"open, of another":   {`{"open_transaction_id":101,"device_hash":"y","device_id":3}`, "x", meta.StateNormal},
		"closed":             {`{"open_transaction_id":100,"device_hash":"x","device_id":2}`, "x", meta.StateNormal},
		"long closed":        {`{"open_transaction_id":7,"device_hash":"x","device_id":2}`, "x", meta.StateNormal},
		"of the empty hash ": {`{"open_transaction_id":100,"device_hash":"","device_id":0}`, "base", meta.StateNormal},
	} {
		r := newRoot(t)
		r.device("x")
		r.write(c.transaction, recordsDir, "transaction-metadata")
		if v := volume(t, r.load(0), c.volume); v.State != c.state {
			t.Errorf("%s: %q", name, v.State)
		}
	}
}

func TestDamagedTransactionIsAWarning(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.write("{", recordsDir, "transaction-metadata")
	if cat := r.load(1); len(cat.Volumes) != 1 {
		t.Error(cat.Volumes)
	}
}

func TestUnreadablePoolIsNoErrorHere(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.write(`{"open_transaction_id":101,"device_hash":"","device_id":1}`, recordsDir, "transaction-metadata")
	r.write("no pool", poolDir, "metadata")
	if v := volume(t, r.load(0), "base"); v.State != meta.StateNormal {
		t.Errorf("%+v", v)
	}
}
