package loopmount

import (
	"os"
	"testing"

	"thintree/thin/loop"
)

// Attach attaches a loop device to a file until the test ends. The test is skipped if this
// process may not attach any.
func Attach(t testing.TB, path string, readOnly bool) *loop.Device {
	t.Helper()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs root: loop device: %v", err)
	}
	control.Close()
	d, err := loop.Attach(t.Context(), path, loop.Options{ReadOnly: readOnly})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}
