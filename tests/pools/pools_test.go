package pools

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestUnpackKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := Unpack(dir, "docker-ext4"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "docker"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != os.ModeDir|0o710 || info.ModTime().Year() != 2026 {
		t.Errorf("docker: mode %v, time %v", info.Mode(), info.ModTime())
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, "docker/devicemapper/devicemapper/data"), &st); err != nil {
		t.Fatal(err)
	}
	if st.Size != 4<<30 || st.Blocks*512 > 256<<20 {
		t.Errorf("data: %d bytes, %d of them allocated", st.Size, st.Blocks*512)
	}
	if err := Unpack(dir, "docker-ext4"); err == nil {
		t.Error("unpacking over what is there must fail")
	}
}

func TestSharedCopyHasAllSources(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		Docker(t) + "/devicemapper/devicemapper/metadata",
		Containerd(t) + "/meta", Containerd(t) + "/data",
		Storage(t) + "/meta", Storage(t) + "/root/devicemapper/metadata/base",
		LVM(t),
	} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	for name, volumes := range map[string]int{"docker-ext4": 10, "containerd-ext4": 9, "storage-ext4": 5, "lvm-disk": 5} {
		if list := Truth(t, name); len(list) != volumes {
			t.Errorf("%s: %d manifests, want %d", name, len(list), volumes)
		}
	}
}

func TestChangedCopyIsUnpackedAgain(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir, err := unpackShared("storage-ext4")
	if err != nil {
		t.Fatal(err)
	}
	records := filepath.Join(dir, "storage/root/devicemapper/metadata/base")
	if err := os.WriteFile(records, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := unpackShared("storage-ext4"); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(records); err != nil || string(text) == "{}" {
		t.Errorf("still %q, %v", text, err)
	}
}

func TestHashChangesWithTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	hash := func() string {
		t.Helper()
		sum, err := Hash(dir)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(file, []byte("text"), 0o644))
	must(os.Truncate(file, 1<<30))
	info, err := os.Stat(file)
	must(err)
	keepTime := func() { must(os.Chtimes(file, info.ModTime(), info.ModTime())) }
	write := func(text string, off int64) {
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		must(err)
		defer f.Close()
		_, err = f.WriteAt([]byte(text), off)
		must(err)
	}

	last := hash()
	write("\x00\x00", 1<<20) // zeros instead of a hole
	keepTime()
	if hash() != last {
		t.Error("zeros that were a hole make a difference")
	}
	for _, c := range []struct {
		name   string
		change func()
	}{
		{"a byte in a hole", func() { write("x", 1<<29) }},
		{"a byte moved", func() { write("\x00", 1<<29); write("x", 1<<29+8192) }},
		{"the length", func() { must(os.Truncate(file, 1<<30+1)) }},
		{"the mode", func() { must(os.Chmod(file, 0o600)) }},
		{"another file", func() { must(os.Symlink("file", filepath.Join(dir, "link"))) }},
	} {
		c.change()
		keepTime()
		now := hash()
		if now == last {
			t.Errorf("%s makes no difference", c.name)
		}
		last = now
	}
	must(os.Chtimes(file, info.ModTime(), info.ModTime().Add(1)))
	if hash() == last {
		t.Error("the modification time makes no difference")
	}
}
