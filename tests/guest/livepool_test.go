package guest

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestSnapshotKeepsWhatItsOriginLoses(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		p := newPool(t)
		p.create(t, 1)
		file := filepath.Join(mounted(t, p.activate(t, 1)), "file")
		before := bytes.Repeat([]byte("before\n"), 100000)
		if err := os.WriteFile(file, before, 0o644); err != nil {
			t.Fatal(err)
		}
		p.snapshot(t, 2, 1)
		if err := os.WriteFile(file, []byte("after"), 0o644); err != nil {
			t.Fatal(err)
		}
		frozen := t.TempDir()
		sh(t, "mount -o ro "+p.activate(t, 2)+" "+frozen)
		t.Cleanup(func() { sh(t, "umount "+frozen) })
		if got, err := os.ReadFile(filepath.Join(frozen, "file")); err != nil || !bytes.Equal(got, before) {
			t.Errorf("the snapshot has %d bytes, %v; want %d", len(got), err, len(before))
		}
	})
}
