package ext4

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"thintree/tests/manifest"
	"thintree/volfs"
	"thintree/volfs/ext4"
)

// No oracle says what a damaged image holds. The reader must end, and not
// panic.
func TestADamagedImageIsReadInBoundedTime(t *testing.T) {
	t.Parallel()
	needKernel(t)
	for _, c := range []struct {
		name   string
		mke2fs []string
	}{
		{"ext4", ext4With()},
		{"without checksums", ext4With("-O", "^metadata_csum,inline_data")},
		{"ext2", []string{"-t", "ext2", "-b", "1024"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			image := newImage(t, 64*mib, c.mke2fs...)
			k := mount(t, image)
			f := newFiller(t, k)
			f.folders()
			f.links()
			f.xattrs()
			k.unmount()
			for seed := range uint64(12) {
				damaged := copyImage(t, image)
				scratch(t, damaged, seed)
				walkDamaged(t, damaged, seed)
				os.Remove(damaged)
			}
		})
	}
}

// scratch changes bytes of what is written, which here is mostly metadata, but
// for the superblock.
func scratch(t *testing.T, image string, seed uint64) {
	t.Helper()
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v := openVolume(t, image)
	random := rand.New(rand.NewPCG(seed, 1))
	for range 50 << (seed % 6) {
		off, err := v.NextData(t.Context(), 2048+random.Int64N(v.size-2048))
		if err != nil {
			continue
		}
		off += random.Int64N(64 * kib)
		if _, err := f.WriteAt([]byte{byte(random.Uint32())}, min(off, v.size-1)); err != nil {
			t.Fatal(err)
		}
	}
}

func walkDamaged(t *testing.T, image string, seed uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	fs, err := ext4.Open(ctx, openVolume(t, image), volfs.Options{})
	if err != nil {
		t.Logf("seed %d: Open: %v", seed, err)
		return
	}
	defer fs.Close()
	if _, err := manifest.OfFS(ctx, fs, look); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
}
