package reader

import (
	"testing"

	"thintree/thin/block"
)

// Benchmark reads a device whose data lie in runs of 2 MiB.
func Benchmark(b *testing.B) {
	spec := deviceSpec{id: 1}
	for i := range int64(8) {
		spec.runs = append(spec.runs, runSpec{virtual: 32 * i, data: 32 * (7 - i), length: 32})
	}
	files := newPool(b, poolOf(256, spec))
	const size = 256 * 64 * kib
	for name, liveBy := range map[string]string{"idle": "", "live": "another device"} {
		p := files.open(b, Options{})
		if err := p.reopen(b.Context(), p.current(), p.given, liveBy, true); err != nil {
			b.Fatal(err)
		}
		d := openDeviceOf(b, p, 1, size)
		for length, text := range map[int]string{4 * kib: "4 KiB", 128 * kib: "128 KiB"} {
			b.Run("read "+text+", "+name, func(b *testing.B) {
				p := make([]byte, length)
				for i := int64(0); b.Loop(); i++ {
					if _, err := d.ReadAt(b.Context(), p, i*int64(length)%size); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run("next hole, "+name, func(b *testing.B) {
			for b.Loop() {
				if at, err := d.NextHole(b.Context(), 100*kib); at != size || err != nil {
					b.Fatal(at, err)
				}
			}
		})
		b.Run("peek at 8 places, "+name, func(b *testing.B) {
			buf := make([]byte, 4*kib)
			for b.Loop() {
				err := p.Peek(b.Context(), 1, func(open func(int64) block.Reader) error {
					for i := range int64(8) {
						if _, err := open(size).ReadAt(b.Context(), buf, i*mib+4*kib); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
