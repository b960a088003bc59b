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
		if got, err := Parse(want); got != number || err != nil {
			t.Errorf("%s is %#x, not %#x: %v", want, got, number, err)
		}
		if got, want := Sysfs(number), "/sys/dev/block/"+want; got != want {
			t.Errorf("%#x is at %s, not %s", number, got, want)
		}
	}
}

func TestWhatIsNoNumberIsAnError(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "7", "7:", ":3", "7:x", "7:3:1", "-7:3", "4294967296:0"} {
		if number, err := Parse(text); err == nil {
			t.Errorf("%q is %#x", text, number)
		}
	}
}
