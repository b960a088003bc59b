package layout

import (
	"fmt"
	"runtime"
	"testing"

	"thintree/meta"
)

// many is a source with count volumes that have records.
func many(count int, name func(int) string) Source {
	p := &manyPool{fakePool{name: "pool"}}
	c := &meta.Catalog{Pools: []meta.Pool{{Name: "pool"}}, Volumes: make([]meta.Volume, count)}
	for i := range count {
		p.ids = append(p.ids, uint32(i))
		c.Volumes[i] = volumeOf(name(i), uint32(i))
	}
	return Source{Pools: []Pool{p}, Catalog: c}
}

// manyPool is a pool whose methods take no longer than those of a real one.
type manyPool struct{ fakePool }

type identity struct {
	name string
	id   uint32
}

func (p *manyPool) Identity(r *meta.Volume) any        { return identity{r.Name, r.DeviceID} }
func (p *manyPool) NoDevice(record *meta.Volume) error { return nil }

func BenchmarkBuild(b *testing.B) {
	for _, count := range []int{10000, 100000} {
		s := many(count, func(i int) string { return fmt.Sprintf("vg/volume-%06d", i) })
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			b.ReportAllocs()
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			var l *Layout
			for b.Loop() {
				l, _ = lay(nil, s)
			}
			b.StopTimer()
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(count), "kept-B/volume")
			runtime.KeepAlive(l)
		})
	}
}
