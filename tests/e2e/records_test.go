package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thintree/tests/pools"
)

// dockerCopy is a copy of Docker's root, for a test to change.
func dockerCopy(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "docker")
	sh(t, "/", "cp -a --sparse=always "+pools.Docker(t)+" "+dir)
	return dir
}

// cutMetadata keeps so many blocks of the metadata of a Docker root's pool.
func cutMetadata(t *testing.T, root string, blocks int64) {
	t.Helper()
	if err := os.Truncate(filepath.Join(root, "devicemapper/devicemapper/metadata"), blocks*4096); err != nil {
		t.Fatal(err)
	}
}

func TestPoolWhoseMetadataAreCutOffIsAnError(t *testing.T) {
	t.Parallel()
	root := dockerCopy(t)
	cutMetadata(t, root, 7)
	mnt := t.TempDir()
	for _, args := range [][]string{
		{"ls", "docker:" + root},
		{"ls", "--long", "docker:" + root},
		{"info", "docker:" + root},
		{"ls", "pool:" + root + "/devicemapper/devicemapper/metadata," + root + "/devicemapper/devicemapper/data"},
		{"mount", "docker:" + root, mnt},
	} {
		r := thintree(t, args...)
		if r.status != 1 || r.stdout != "" || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "truncated") {
			t.Errorf("%s: exit status %d, %q, want one line about truncated metadata: %s", args, r.status, r.stdout, r.stderr)
		}
	}
	if mounted(mnt) {
		t.Error("it is mounted")
		thintree(t, "umount", "--lazy", mnt)
	}
}

func TestMountWarnsOnce(t *testing.T) {
	t.Parallel()
	root := dockerCopy(t)
	if err := os.Truncate(filepath.Join(root, "devicemapper/devicemapper/data"), 900<<16); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"the system log": {"mount"},
		"a file":         {"mount", "--log-file", filepath.Join(t.TempDir(), "log")},
		"errors only":    {"mount", "--log-level", "error"},
	} {
		mnt := t.TempDir()
		r := thintree(t, append(args, "docker:"+root, mnt)...)
		if mounted(mnt) {
			thintree(t, "umount", "--lazy", mnt)
		}
		if r.status != 0 || strings.Count(r.stderr, "what lies beyond cannot be read") != 1 {
			t.Errorf("%s: exit status %d, want one warning: %s", name, r.status, r.stderr)
		}
	}
}
