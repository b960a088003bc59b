package ext4

import (
	"bytes"
	"errors"
	"testing"
)

func TestACLsGetAnIDInEachEntry(t *testing.T) {
	t.Parallel()
	disk := []byte{1, 0, 0, 0,
		1, 0, 7, 0, // owner
		2, 0, 6, 0, 0xe8, 3, 0, 0, // user 1000
		4, 0, 5, 0, // group
		8, 0, 4, 0, 5, 0, 0, 0, // group 5
		0x10, 0, 5, 0, // mask
		0x20, 0, 1, 0, // others
	}
	want := []byte{2, 0, 0, 0,
		1, 0, 7, 0, 0xff, 0xff, 0xff, 0xff,
		2, 0, 6, 0, 0xe8, 3, 0, 0,
		4, 0, 5, 0, 0xff, 0xff, 0xff, 0xff,
		8, 0, 4, 0, 5, 0, 0, 0,
		0x10, 0, 5, 0, 0xff, 0xff, 0xff, 0xff,
		0x20, 0, 1, 0, 0xff, 0xff, 0xff, 0xff,
	}
	if got, err := convertACL(disk); err != nil || !bytes.Equal(got, want) {
		t.Errorf("% x, %v", got, err)
	}
}

func TestImpossibleACLsAreErrors(t *testing.T) {
	t.Parallel()
	for _, p := range [][]byte{
		nil,
		{1, 0, 0},
		{2, 0, 0, 0},
		{1, 0, 0, 0, 1, 0},
		{1, 0, 0, 0, 2, 0, 7, 0},
		{1, 0, 0, 0, 3, 0, 7, 0},
	} {
		if got, err := convertACL(p); err == nil || errors.Is(err, errNoACL) {
			t.Errorf("% x: % x, %v", p, got, err)
		}
	}
	if _, err := convertACL([]byte{1, 0, 0, 0}); !errors.Is(err, errNoACL) {
		t.Errorf("an empty list: %v", err)
	}
}
