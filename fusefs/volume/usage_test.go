package volume

import (
	"testing"
	"testing/synctest"
	"time"

	"thintree/thin/lend"
	"thintree/thin/pdata"
)

// usersOf returns the users of a pool in which device 7 has the last of the given users. None
// means that nobody uses it.
func usersOf(u ...lend.User) map[uint32]lend.User {
	all := map[uint32]lend.User{}
	for _, u := range u {
		all[7] = u
	}
	return all
}

func TestVolumeIsAnotherOneAfterEachSignOfChange(t *testing.T) {
	t.Parallel()
	const id = 7
	writer := lend.User{Name: "w", Number: 1, Sequence: 5, Writable: true}
	opened, again := writer, writer
	opened.Open, again.Sequence = true, 6
	root := func(n uint64) map[uint32]pdata.DeviceDetails {
		return map[uint32]pdata.DeviceDetails{id: {ID: id, InMappings: true, MappingRoot: n}}
	}
	for name, test := range map[string]struct {
		steps    []func(*usage[uint32])
		signs    int
		changing bool // at the end, though its signs were counted
	}{
		"never looked at":    {nil, 0, true},
		"nobody has it":      {[]func(*usage[uint32]){sees(), sees()}, 0, false},
		"active at first":    {[]func(*usage[uint32]){sees(writer)}, 0, true},
		"an activation":      {[]func(*usage[uint32]){sees(), sees(writer)}, 1, true},
		"of a reader":        {[]func(*usage[uint32]){sees(), sees(lend.User{Name: "r"})}, 1, true},
		"is opened":          {[]func(*usage[uint32]){sees(), sees(writer), sees(opened), sees(writer)}, 1, true},
		"another one":        {[]func(*usage[uint32]){sees(writer), sees(again)}, 1, true},
		"just ended":         {[]func(*usage[uint32]){sees(writer), sees()}, 1, true},
		"ended":              {[]func(*usage[uint32]){sees(writer), sees(), wait(settling)}, 1, false},
		"came and went":      {[]func(*usage[uint32]){sees(), sees(writer), sees(), wait(settling)}, 2, false},
		"unseen":             {[]func(*usage[uint32]){sees(), (*usage[uint32]).seeUnseen}, 1, false},
		"users unknown":      {[]func(*usage[uint32]){sees(), (*usage[uint32]).lose}, 0, true},
		"known again":        {[]func(*usage[uint32]){sees(), (*usage[uint32]).lose, sees()}, 0, false},
		"meanwhile it began": {[]func(*usage[uint32]){sees(), (*usage[uint32]).lose, sees(writer)}, 1, true},
		"mapped otherwise":   {[]func(*usage[uint32]){sees(), lists(root(10)), lists(root(11))}, 1, false},
		"mapped alike":       {[]func(*usage[uint32]){sees(), lists(root(10)), lists(root(10))}, 0, false},
		"mapped by its user": {[]func(*usage[uint32]){sees(), lists(root(10)), sees(writer), lists(root(11)), lists(root(12))}, 1, true},
		"mapped late": {[]func(*usage[uint32]){
			sees(writer), sees(), lists(root(10)), lists(root(11)), wait(settling), lists(root(12)), lists(root(12)),
		}, 1, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			u := &usage[uint32]{}
			for _, step := range test.steps {
				step(u)
			}
			if got := u.signs(id); got != test.signs {
				t.Errorf("%s: %d signs, want %d", name, got, test.signs)
			}
			if u.moved.Load() != (test.signs > 0) {
				t.Errorf("%s: moved is %v", name, u.moved.Load())
			}
			if got := u.changing(id, u.signs(id)); got != test.changing {
				t.Errorf("%s: changing %v, want %v", name, got, test.changing)
			}
			if test.signs > 0 && !u.changing(id, 0) {
				t.Errorf("%s: an answer from before the signs counts as valid", name)
			}
		})
	}
}

func sees(now ...lend.User) func(*usage[uint32]) {
	return func(u *usage[uint32]) { u.see(usersOf(now...)) }
}

func lists(devices map[uint32]pdata.DeviceDetails) func(*usage[uint32]) {
	return func(u *usage[uint32]) { seeRoots(u, devices) }
}

func wait(d time.Duration) func(*usage[uint32]) { return func(*usage[uint32]) { time.Sleep(d) } }
