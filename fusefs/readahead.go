package fusefs

import (
	"fmt"
	"os"
)

// readAheadKiB is how far the kernel reads ahead of a sequential reader: two requests of
// the largest size. The kernel's default is 128.
const readAheadKiB = 2048

// raiseReadAhead sets the mount's read-ahead. Only root may; it is a no-op for others.
func (m *Mount) raiseReadAhead() error {
	if os.Geteuid() != 0 {
		return nil
	}
	major, minor := m.Device()
	knob := fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", major, minor)
	return os.WriteFile(knob, fmt.Append(nil, readAheadKiB), 0)
}
