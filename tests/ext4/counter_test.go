package ext4

import "sync/atomic"

// counter counts reads and their bytes.
type counter struct{ calls, bytes atomic.Int64 }

func (c *counter) add(n int) {
	c.calls.Add(1)
	c.bytes.Add(int64(n))
}

func (c *counter) reset() {
	c.calls.Store(0)
	c.bytes.Store(0)
}
