package resolve

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNoAtimeIsLeftOutIfItIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refusal error // of O_NOATIME
		want    []int // the flags of each call
	}{
		"allowed":       {nil, []int{unix.O_NONBLOCK | unix.O_NOATIME}},
		"refused":       {unix.EPERM, []int{unix.O_NONBLOCK | unix.O_NOATIME, unix.O_NONBLOCK}},
		"another error": {unix.ENOENT, []int{unix.O_NONBLOCK | unix.O_NOATIME}},
	} {
		var calls []int
		fd, err := NoAtime(unix.O_NONBLOCK, func(flags int) (int, error) {
			calls = append(calls, flags)
			if flags&unix.O_NOATIME != 0 {
				return 7, c.refusal
			}
			return 8, nil
		})
		if !slices.Equal(calls, c.want) || fd != 6+len(calls) || len(calls) == 1 && err != c.refusal || len(calls) == 2 && err != nil {
			t.Errorf("%s: calls with %o, descriptor %d, %v", name, calls, fd, err)
		}
	}
}
