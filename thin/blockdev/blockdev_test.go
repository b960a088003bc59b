package blockdev

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestNumbersAreWrittenAsTheKernelWritesThem(t *testing.T) {
	t.Parallel()
	for number, want := range map[uint64]string{
		0: "0:0", unix.Mkdev(7, 3): "7:3", unix.Mkdev(254, 1<<20-1): "254:1048575", unix.Mkdev(4095, 0): "4095:0",
	} {
		if got := Text(number); got != want {
			t.Errorf("%#x is %s, not %s", number, got, want)
		}
		if got, want := Sysfs(number), "/sys/dev/block/"+want; got != want {
			t.Errorf("%#x is at %s, not %s", number, got, want)
		}
	}
}
