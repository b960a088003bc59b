package docker

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The digests and chain ids are from a real root: busybox and two more layers.
func TestChainIDs(t *testing.T) {
	t.Parallel()
	diffs := []string{
		"sha256:ee353af3ae190ddf74b48c0641b942e7d42daaba333b188ff972a1bb3f643e42",
		"sha256:f64e0d0671b3ca16000a76800cbe19f4747586777399da7d67eb3f2ceffd6246",
		"sha256:ea297d9356fd0ad7b306c9804b7bd2a016f70c56e6cf9993d517d21745550c4b",
	}
	want := []string{
		"",
		"ee353af3ae190ddf74b48c0641b942e7d42daaba333b188ff972a1bb3f643e42",
		"e58fcbfa368f649c5e0fd8789da63dffc506b86702a734cccf96fa613d1067c7",
		"5f1ef0b59f7b0dbff7931577e6b740990a4484777a341ce128922b0903ab0ed2",
	}
	for n, want := range want {
		if got, err := chainID(diffs[:n]); got != want || err != nil {
			t.Errorf("%d layers: %s, %v", n, got, err)
		}
	}
}

func TestOnlyImagesWithoutTagsHaveDigestNames(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	tagged, _ := r.image("tagged", "one")
	pinned, _ := r.image("pinned", "one", "two")
	none, _ := r.image("none", "one", "two", "three")
	digest := "@sha256:" + hexID("manifest")
	r.names(map[string]string{"alpine:3": tagged, "alpine" + digest: tagged, "quay.io/team/app" + digest: pinned})
	want := map[string][]string{tagged: {"alpine:3"}, pinned: {"quay.io/team/app" + digest}, none: nil}
	if diff := cmp.Diff(want, imageNames(r.load(0))); diff != "" {
		t.Error(diff)
	}
}

func TestImageNamesThatAreNotPathsAreDropped(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "..", "a/../b:1", "/etc", "a:1/", "a\x00:1", strings.Repeat("x", 300) + ":1"} {
		r := newRoot(t)
		id, _ := r.image("i", "one")
		r.names(map[string]string{name: id, "good:1": id})
		if diff := cmp.Diff(map[string][]string{id: {"good:1"}}, imageNames(r.load(1))); diff != "" {
			t.Errorf("%.40q: %s", name, diff)
		}
	}
}

func TestNamesOfMissingImagesAreWarnings(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	id, _ := r.image("i", "one")
	r.names(map[string]string{"a:1": hexID("missing"), "b:1": "short", "c:1": id})
	if diff := cmp.Diff(map[string][]string{id: {"c:1"}}, imageNames(r.load(2))); diff != "" {
		t.Error(diff)
	}
}

func TestDamagedNamesFileLosesOnlyTheNames(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text     string
		warnings int
	}{
		"empty": {"", 1}, "cut short": {`{"Repositories":{"a":{`, 1}, "an array": {"[]", 1}, "null": {"null", 0}, "nothing": {"{}", 0},
		"a number": {`{"Repositories":{"a":{"a:1":1}}}`, 1}, "no digest": {`{"Repositories":{"a":{"a:1":"x"}}}`, 1},
		"too long": {strings.Repeat(" ", maxConfig+1), 1},
	} {
		r := newRoot(t)
		id, _ := r.image("i", "one")
		r.write(c.text, namesFile)
		if diff := cmp.Diff(map[string][]string{id: nil}, imageNames(r.load(c.warnings))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestMissingNamesFileIsAWarning(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	id, _ := r.image("i", "one")
	r.remove(namesFile)
	if diff := cmp.Diff(map[string][]string{id: nil}, imageNames(r.load(1))); diff != "" {
		t.Error(diff)
	}
}

func TestTemporaryFileOfAnImageIsIgnored(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.write("{", imagesDir, ".tmp-"+hexID("new")+"123")
	if cat := r.load(0); len(cat.Images) != 0 {
		t.Error(cat.Images)
	}
}

func TestDamagedImageLosesOnlyItself(t *testing.T) {
	t.Parallel()
	diff := `"sha256:` + hexID("diff one") + `"`
	for name, c := range map[string]struct {
		text     string
		warnings int
	}{
		"empty":             {"", 1},
		"cut short":         {`{"rootfs":{"diff_ids":[`, 1},
		"no rootfs":         {`{}`, 1},
		"null":              {`null`, 1},
		"a string":          {`{"rootfs":{"diff_ids":"x"}}`, 1},
		"no digest":         {`{"rootfs":{"diff_ids":["` + hexID("diff one") + `"]}}`, 1},
		"no digest on top":  {`{"rootfs":{"diff_ids":[` + diff + `,"../x"]}}`, 1},
		"an unknown layer":  {`{"rootfs":{"diff_ids":["sha256:` + hexID("unknown") + `"]}}`, 1},
		"an incomplete top": {`{"rootfs":{"diff_ids":[` + diff + `,` + diff + `]}}`, 1},
		"deep nesting":      {strings.Repeat(`{"a":`, 100_000), 1},
		"no layers":         {`{"rootfs":{"type":"layers"}}`, 0},
		"too long":          {strings.Repeat(" ", maxConfig+1), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoot(t)
			bad, _ := r.image("bad", "one")
			good, _ := r.image("good", "one", "two")
			r.names(map[string]string{"bad:1": bad, "good:1": good})
			r.write(c.text, imagesDir, bad)
			if diff := cmp.Diff(map[string][]string{good: {"good:1"}}, imageNames(r.load(c.warnings))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestImageWithoutADeviceIsOnlyAWarning(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.image("i", "one")
	r.remove(recordsDir, hexID("one"))
	if cat := r.load(1); len(cat.Images) != 0 {
		t.Error(cat.Images)
	}
}
