package pdata

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

const (
	benchDevices  = 20
	benchMappings = 100_000 // in each device
)

// largePool is a pool of 2 million mappings, in runs of 3.
func largePool() poolSpec {
	s := poolSpec{blockSectors: 128}
	for id := range uint32(benchDevices) {
		d := device(id + 1)
		base := uint64(id) * benchMappings
		for i := uint64(0); i < benchMappings; i += 3 {
			d.mappings = append(d.mappings, mapped(i*2, base+i, min(3, benchMappings-i), 0))
		}
		d.MappedBlocks = benchMappings
		s.devices = append(s.devices, d)
		s.dataBlocks = base + benchMappings
	}
	return s
}

func Benchmark(b *testing.B) {
	dir := b.TempDir()
	needDirect(b, dir)
	built := filepath.Join(dir, "built")
	if err := os.WriteFile(built, build(largePool()).p, 0o600); err != nil {
		b.Fatal(err)
	}
	b.Run("open, list and look up 1000", func(b *testing.B) {
		for b.Loop() {
			m := openFile(b, built)
			benchList(b, m)
			benchLookups(b, m)
		}
	})
	b.Run("open and list", func(b *testing.B) {
		for b.Loop() {
			benchList(b, openFile(b, built))
		}
	})
	b.Run("look up again", func(b *testing.B) {
		m := openFile(b, built)
		d, err := m.Mappings(b.Context(), 7)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := d.Run(b.Context(), 60_000, 64); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read all mappings", func(b *testing.B) {
		m := openFile(b, built)
		for b.Loop() {
			for id := range uint32(benchDevices) {
				d, err := m.Mappings(b.Context(), id+1)
				if err != nil {
					b.Fatal(err)
				}
				for _, err := range d.Runs(b.Context(), 0, 1<<40) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		}
	})
	for _, restored := range []bool{false, true} {
		name, path := "thin_ls", built
		if restored {
			name, path = "thin_ls of thin_restore's", restore(b, largePool(), 64<<20)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				tool(b, "thin_ls", path)
			}
		})
		if restored {
			b.Run("open and list thin_restore's", func(b *testing.B) {
				for b.Loop() {
					benchList(b, openFile(b, path))
				}
			})
		}
	}
	b.Run("thin_ls --version", func(b *testing.B) { // the time to start a program
		for b.Loop() {
			tool(b, "thin_ls", "--version")
		}
	})
}

func benchList(b *testing.B, m *Metadata) {
	b.Helper()
	n := 0
	for _, err := range m.Devices(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		n++
	}
	if n != benchDevices {
		b.Fatal(n)
	}
}

// benchLookups looks up 1000 random blocks in all devices.
func benchLookups(b *testing.B, m *Metadata) {
	b.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	for id := range uint32(benchDevices) {
		d, err := m.Mappings(b.Context(), id+1)
		if err != nil {
			b.Fatal(err)
		}
		for range 1000 / benchDevices {
			if _, err := d.Run(b.Context(), rnd.Uint64N(2*benchMappings), 1); err != nil {
				b.Fatal(err)
			}
		}
	}
}
