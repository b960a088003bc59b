package docker

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
)

// watched is a context whose Err calls do. Readers call Err at many moments of a load, also
// concurrently.
type watched struct {
	context.Context
	asked *atomic.Int64
	do    func(asked int64)
}

func (w watched) Err() error {
	w.do(w.asked.Add(1))
	return w.Context.Err()
}

// A container is removed at any moment of a load, in the steps of daemon/delete.go. The
// catalog must be that of before or after, never a mixture.
func TestRecordsThatChangeDuringALoadAreReadAgain(t *testing.T) {
	t.Parallel()
	var before, after int
	for moment, done := int64(1), false; !done; moment++ {
		r := newRoot(t)
		_, chains := r.layers("one")
		r.container("stays", "/stays", chains[0])
		r.container("goes", "/goes", chains[0])
		w := watched{t.Context(), new(atomic.Int64), func(asked int64) {
			if asked == moment {
				r.remove(recordsDir, hexID("goes mount"))
				r.remove(recordsDir, hexID("goes mount")+"-init")
				r.remove(mountsDir, hexID("goes"))
				r.remove(containersDir, hexID("goes"))
			}
		}}
		cat, err := r.source().Load(w)
		if err != nil {
			t.Fatal(err)
		}
		done = w.asked.Load() < moment
		switch n := len(cat.Containers); {
		case len(cat.Volumes) != 2+2*n || len(cat.Warnings) > 0:
			t.Errorf("moment %d: %d containers, %d volumes, %v", moment, n, len(cat.Volumes), cat.Warnings)
		case n == 2:
			before++
		case n == 1:
			after++
		}
	}
	if before == 0 || after < 10 {
		t.Errorf("%d times before, %d after", before, after)
	}
}

func TestLoadEndsEvenIfRecordsAlwaysChange(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	w := watched{t.Context(), new(atomic.Int64), func(asked int64) {
		if err := os.Mkdir(r.path(recordsDir, fmt.Sprint(".", asked)), 0o700); err != nil {
			t.Error(err)
		}
	}}
	if cat, err := r.source().Load(w); err != nil || len(cat.Volumes) != 1 {
		t.Error(cat, err)
	}
}

func TestFolderThatCannotBeListedIsReportedAsLost(t *testing.T) {
	t.Parallel()
	for dir, lost := range map[string]struct{ containers, images bool }{
		containersDir: {containers: true}, mountsDir: {containers: true}, imagesDir: {images: true}, layersDir: {images: true},
	} {
		r := newRoot(t)
		r.remove(dir)
		r.write("", dir) // a file instead of the folder
		cat, err := r.source().Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if (cat.ContainersLost != nil) != lost.containers || (cat.ImagesLost != nil) != lost.images || len(cat.Warnings) == 0 {
			t.Errorf("%s: containers %v, images %v, warnings %v", dir, cat.ContainersLost, cat.ImagesLost, cat.Warnings)
		}
	}
	if cat := newRoot(t).load(0); cat.ContainersLost != nil || cat.ImagesLost != nil {
		t.Errorf("an empty root: containers %v, images %v are lost", cat.ContainersLost, cat.ImagesLost)
	}
}
