package lvm

import (
	"fmt"
	"testing"
)

func BenchmarkLoad10000Volumes(b *testing.B) {
	volumes := []string{poolVolumes, hidden("pool_tmeta", linear(0, 1, "pv1", 0)), hidden("pool_tdata", linear(0, 4, "pv1", 1))}
	for i := range 10000 {
		if i%10 == 0 {
			volumes = append(volumes, lv(fmt.Sprintf("plain%d", i), linear(0, 1, "pv1", 5+i%10)))
		} else {
			volumes = append(volumes, thin(fmt.Sprintf("thin%d", i), i, `origin = "thin1"`))
		}
	}
	d := simple(1, group(1, 1, volumes...))
	d.areas[0].size = 16 << 20
	s := New(d.write(b))
	b.ReportAllocs()
	for b.Loop() {
		c, err := s.Load(b.Context())
		if err != nil || len(c.Volumes) != 10000 {
			b.Fatal(err)
		}
	}
}

func BenchmarkStamp(b *testing.B) {
	s := New(simple(1, group(1, 1)).write(b))
	for b.Loop() {
		if _, err := s.Stamp(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
