package guard

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/thin/dm"
)

// kernel records the requests that it gets. It deletes a device at the second try.
type kernel struct{ asked []string }

func (k *kernel) Resume(_ context.Context, name string, _ dm.Udev) (dm.Info, error) {
	k.asked = append(k.asked, "resume "+name)
	return dm.Info{}, nil
}

func (k *kernel) Message(_ context.Context, name string, _ uint64, message string) (dm.Info, string, error) {
	k.asked = append(k.asked, name+": "+message)
	if n := len(k.asked); n < 2 || k.asked[n-2] != k.asked[n-1] {
		return dm.Info{}, "", syscall.EBUSY
	}
	return dm.Info{}, "", nil
}

func TestGuardCleansUpWhatIsHeld(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", unix.DM_NAME_LEN-1)
	for _, test := range []struct{ slots, want []string }{
		{},
		{[]string{"", ""}, nil},
		{[]string{"resume a"}, []string{"resume a"}},
		{[]string{"", "resume a b:#", "", "resume " + long}, []string{"resume a b:#", "resume " + long}},
		{[]string{"delete 7 my pool", "resume a"}, []string{"resume a", "my pool: delete 7", "my pool: delete 7"}},
		{[]string{"delete 16777215 " + long}, []string{long + ": delete 16777215", long + ": delete 16777215"}},
	} {
		var table []byte
		for _, text := range test.slots {
			table = append(table, append([]byte(text), make([]byte, slotBytes-len(text))...)...)
		}
		var k kernel
		undo(held(bytes.NewReader(table)), &k)
		if !slices.Equal(k.asked, test.want) {
			t.Errorf("%.60q: requests %.60q", test.slots, k.asked)
		}
	}
}

func TestHoldRefusesInvalidNames(t *testing.T) {
	t.Parallel()
	g := New()
	for _, name := range []string{"", "a\x00b", strings.Repeat("n", unix.DM_NAME_LEN)} {
		if _, err := g.Hold(name); err == nil {
			t.Errorf("%.40q is held", name)
		}
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}
