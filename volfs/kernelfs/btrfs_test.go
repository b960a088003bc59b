package kernelfs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"thintree/volfs"
)

func TestBtrfsGetsAnIdentity(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"mkfs.btrfs", "btrfs"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
	for _, csum := range []string{"crc32c", "sha256", "xxhash"} {
		t.Run(csum, func(t *testing.T) {
			t.Parallel()
			image := filepath.Join(t.TempDir(), "image")
			run(t, "truncate", "-s", "128M", image)
			run(t, "mkfs.btrfs", "-q", "--csum", csum, image)
			before := superOf(t, image)
			super := readSuper(t, image)
			err := identify(super, 7)
			if csum == "xxhash" {
				if !errors.As(err, new(*volfs.UnsupportedError)) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			other := readSuper(t, image)
			if err := identify(other, 8); err != nil || string(other) == string(super) {
				t.Errorf("another device has the same identity, %v", err)
			}
			writeSuper(t, image, super)
			after := superOf(t, image)
			if after["fsid"] == before["fsid"] || after["metadata_uuid"] != before["fsid"] || after["dev_item.fsid"] != before["dev_item.fsid"] {
				t.Errorf("before:\n%v\nafter:\n%v", before, after)
			}
			if !strings.Contains(after["csum"], "[match]") {
				t.Errorf("checksum: %s", after["csum"])
			}
			// It is still the same filesystem.
			run(t, "btrfs", "check", "--readonly", image)
			if err := identify(super, 9); err != nil {
				t.Fatal(err)
			}
			writeSuper(t, image, super)
			if again := superOf(t, image); again["metadata_uuid"] != before["fsid"] || again["fsid"] == after["fsid"] {
				t.Errorf("a second time:\n%v", again)
			}
		})
	}
}

func TestOtherVolumesGetNoIdentity(t *testing.T) {
	t.Parallel()
	if err := identify(make([]byte, superInfoSize), 1); !errors.As(err, new(*volfs.UnsupportedError)) {
		t.Errorf("%v", err)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}

// superOf returns a superblock as btrfs-progs prints it.
func superOf(t *testing.T, image string) map[string]string {
	t.Helper()
	fields := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^(\S+)\s+(.*)$`).FindAllStringSubmatch(run(t, "btrfs", "inspect-internal", "dump-super", image), -1) {
		fields[m[1]] = m[2]
	}
	return fields
}

func readSuper(t *testing.T, image string) []byte {
	t.Helper()
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	super := make([]byte, superInfoSize)
	if _, err := f.ReadAt(super, superInfoOffset); err != nil {
		t.Fatal(err)
	}
	return super
}

func writeSuper(t *testing.T, image string, super []byte) {
	t.Helper()
	f, err := os.OpenFile(image, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(super, superInfoOffset); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
