package guest

import (
	"testing"

	"thintree/thin/block"
	"thintree/thin/reader"
)

// TestBlockDevicesAreNotReadFromTheirPageCache looks at a pool before and after
// somebody had it active, and not in between.
func TestBlockDevicesAreNotReadFromTheirPageCache(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		p := newPool(t, t.TempDir())
		p.create(t, 1)
		dir := mounted(t, p.activate(t, 1))
		deactivatePool := func() {
			t.Helper()
			sh(t, "umount "+dir+" && dmsetup remove thin-1 && dmsetup remove pool")
		}
		deactivatePool()
		sh(t, "cat "+p.metadata+" "+p.data+" | wc -c") // fills the page cache
		r, err := reader.Open(t.Context(), block.At(p.metadata), block.At(p.data), reader.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		read := func() []byte {
			t.Helper()
			d, err := r.OpenDevice(t.Context(), 1, volumeBytes, nil)
			if err != nil {
				t.Fatal(err)
			}
			all := make([]byte, volumeBytes)
			if _, err := d.ReadAt(t.Context(), all, 0); err != nil {
				t.Fatal(err)
			}
			return all
		}
		before := string(read())
		p.load(t)
		sh(t, "mount "+p.activate(t, 1)+" "+dir)
		writeFiles(t, dir, 1, 1)
		deactivatePool()
		changed, err := r.Refresh(t.Context())
		if err != nil || !changed || r.Live() {
			t.Errorf("changed: %v, %v, live: %v", changed, err, r.Live())
		}
		after := string(read())
		p.load(t)
		if kernel := string(p.read(t, 1)); after != kernel || after == before {
			t.Error("it reads other bytes than the kernel")
		}
	})
}
