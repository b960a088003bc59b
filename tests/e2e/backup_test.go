package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"thintree/tests/manifest"
	"thintree/tests/pools"
	"thintree/volfs"
)

// layer is a volume of the Docker root.
const layer = "7142713d95333654aca9df726cee3e776bee6a31b2ee6d361fd013ed062b5d20"

// same holds a copy of a folder against the folder: all that a person can see but
// what a copy cannot have: ctime, how many blocks it takes, a folder's length.
func same(t *testing.T, copied, original string) {
	t.Helper()
	seen := func(dir string) manifest.Manifest {
		m, err := manifest.OfDir(t.Context(), dir, manifest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range m {
			m[i].Ctime, m[i].Blocks = volfs.Time{}, 0
			if m[i].Mode&syscall.S_IFMT == syscall.S_IFDIR {
				m[i].Size = 0
			}
		}
		return m
	}
	if d := manifest.Diff(seen(original), seen(copied)); d != "" {
		t.Errorf("%s is no true copy of %s:\n%s", copied, original, d)
	}
}

// TestCopiesOfUnopenedVolumesAreTrue copies volumes that nobody has looked into
// yet: the tools see nothing change under them, and the root's own attributes
// are real.
func TestCopiesOfUnopenedVolumesAreTrue(t *testing.T) {
	t.Parallel()
	needs(t, root)
	for _, c := range []struct{ tool, command string }{
		{"tar", "tar -C MNT/volumes --xattrs --xattrs-include='*' --acls -cf - VOLUME | tar -C OUT --xattrs --xattrs-include='*' --acls -xpf -"},
		{"cp", "cp -a MNT/volumes/VOLUME OUT/"},
		{"rsync", "rsync -aHAX MNT/volumes/VOLUME OUT/"},
	} {
		t.Run(c.tool, func(t *testing.T) {
			t.Parallel()
			needs(t, tool(c.tool))
			mnt := mount(t, "docker:"+pools.Docker(t))
			out := t.TempDir()
			command := strings.NewReplacer("MNT", mnt, "OUT", out, "VOLUME", layer).Replace(c.command)
			sh(t, "/", command)
			same(t, filepath.Join(out, layer), filepath.Join(mnt, "volumes", layer))
		})
	}
}

// TestBackupAgainAfterARemountFindsNothingNew backs volumes up with restic,
// mounts anew, and backs up again.
func TestBackupAgainAfterARemountFindsNothingNew(t *testing.T) {
	t.Parallel()
	needs(t, tool("restic"))
	source := "docker:" + pools.Docker(t)
	mnt := mount(t, source)
	what := mnt + "/volumes"
	if testing.Short() {
		what += "/" + layer
	}
	repository := t.TempDir()
	restic := "RESTIC_PASSWORD=test restic --no-cache -q -r " + repository
	backup := "RESTIC_PASSWORD=test restic --no-cache --json -r " + repository + " backup " + what + " | grep message_type.:.summary"
	sh(t, "/", restic+" init")
	type summary struct {
		New       int `json:"files_new"`
		Changed   int `json:"files_changed"`
		Same      int `json:"files_unmodified"`
		DirsNew   int `json:"dirs_new"`
		DirsOther int `json:"dirs_changed"`
	}
	run := func() (s summary) {
		if err := json.Unmarshal([]byte(sh(t, "/", backup)), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := run()
	if first.New == 0 {
		t.Fatal("the first backup found no files")
	}
	thintree(t, "umount", mnt).must(t)
	thintree(t, "mount", source, mnt).must(t)
	// What is above the volumes is the test's own temporary folders.
	if again := run(); again.New != 0 || again.Changed != 0 || again.DirsNew != 0 || again.Same != first.New {
		t.Errorf("first %+v, after the remount %+v", first, again)
	}
}

// TestNothingIsChanged hashes a source before and after all that people do.
func TestNothingIsChanged(t *testing.T) {
	t.Parallel()
	dir := pools.Docker(t)
	before, err := pools.Hash(dir)
	if err != nil {
		t.Fatal(err)
	}
	mnt := mount(t, "docker:"+dir)
	sh(t, mnt, "find . >/dev/null; cat info/*.json pools/*.json >/dev/null; tar -cf /dev/null volumes 2>/dev/null; cat raw/base.img >/dev/null")
	if err := os.WriteFile(filepath.Join(mnt, "volumes/base/new"), nil, 0o644); err == nil {
		t.Error("a file could be made in a volume")
	}
	thintree(t, "ls", "--long", "docker:"+dir).must(t)
	thintree(t, "cp", "docker:"+dir, "image:web:2:/etc", filepath.Join(t.TempDir(), "etc"))
	thintree(t, "umount", mnt).must(t)
	after, err := pools.Hash(dir)
	if err != nil {
		t.Fatal(err)
	}
	if after != before {
		t.Error("the Docker root has changed")
	}
}
