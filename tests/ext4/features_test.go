package ext4

import (
	"slices"
	"testing"
)

// feature is one way to make a filesystem.
type feature struct {
	name   string
	mke2fs []string
	mount  []string // options of the mount that fills it

	// before changes the empty image, after the filled one.
	before, after func(t *testing.T, image string)

	// refused is what the filesystem cannot hold of the tree.
	refused []string
}

const imageSize = 256 * mib

func TestEveryFeatureReadsAsTheKernelShowsIt(t *testing.T) {
	t.Parallel()
	needKernel(t)
	for _, f := range features() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			image := newImage(t, imageSize, f.mke2fs...)
			if f.before != nil {
				f.before(t, image)
			}
			k := mount(t, image, f.mount...)
			refused := fill(t, k)
			k.unmount()
			if !slices.Equal(refused, f.refused) {
				t.Errorf("the kernel refused %q, not %q", refused, f.refused)
			}
			if f.after != nil {
				f.after(t, image)
			}
			compare(t, image)
		})
	}
}
