package dm

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestErrnoMatchesASentinelByCommand(t *testing.T) {
	t.Parallel()
	all := []error{ErrNotFound, ErrExists, ErrInUse}
	for _, test := range []struct {
		op   string
		err  error
		want error  // one of all, nil if none matches
		text string // is part of the message
	}{
		{opCreate, unix.EBUSY, ErrExists, "a device-mapper device of this name"},
		{opRename, unix.EBUSY, ErrExists, "exists already"},
		{opRename, unix.ENXIO, ErrNotFound, "no such"},
		{opRemove, unix.ENXIO, ErrNotFound, "no such"},
		{opRemove, unix.EBUSY, ErrInUse, "what has it open first"},
		{opMessage, unix.ENXIO, ErrNotFound, "no such"},
		{opMessage, unix.EBUSY, nil, "busy"},
		{opLoad, unix.ENXIO, nil, "no such device or address"}, // may be about a device below
		{opLoad, unix.EBUSY, nil, "busy"},
		{opLoad, unix.EINVAL, nil, "refused the table"},
		{"info", unix.ENXIO, ErrNotFound, "no such"},
		{"info", unix.EACCES, nil, "permission denied"},
	} {
		err := error(&Error{test.op, "a", test.err})
		for _, sentinel := range all {
			if got := errors.Is(err, sentinel); got != (sentinel == test.want) {
				t.Errorf("%s, %v: is %q: %v", test.op, test.err, sentinel, got)
			}
		}
		if !errors.Is(err, test.err) {
			t.Errorf("%s, %v: does not unwrap to it", test.op, test.err)
		}
		if text := err.Error(); !strings.Contains(text, test.text) || !strings.Contains(text, test.op+" a") {
			t.Errorf("%s, %v: reads %q", test.op, test.err, text)
		}
	}
}

func TestNamesOfNewDevices(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", MaxNameBytes)
	for _, name := range []string{"a", "thin-pool_0", "#+-.:=@_", "..a", "docker-254:1-1234-pool", long} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "control", "a/b", "a b", "a\x00", "a\\x20b", "ä", "a\nb", "a%b", long + "x"} {
		err := CheckName(name)
		var bad *NameError
		if !errors.As(err, &bad) || !errors.Is(err, unix.EINVAL) {
			t.Errorf("%q: %v", name, err)
		}
		if err != nil && len(err.Error()) > 700 {
			t.Errorf("the error for %.10q… has %d bytes", name, len(err.Error()))
		}
	}
}
