package dm

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMessageOfANewDisk(t *testing.T) {
	t.Parallel()
	message := func(fields ...string) []byte { return []byte(strings.Join(fields, "\x00") + "\x00") }
	const path = "/devices/virtual/block/dm-3"
	for name, test := range map[string]struct {
		message []byte
		want    Disk
		ok      bool
	}{
		"a new disk": {
			message("add@"+path, "ACTION=add", "DEVPATH="+path, "SUBSYSTEM=block", "MAJOR=253", "MINOR=3", "DEVNAME=dm-3", "DEVTYPE=disk", "DISKSEQ=17", "SEQNUM=4711"),
			Disk{unix.Mkdev(253, 3), 17}, true,
		},
		"before Linux 5.15": {message("add@"+path, "MAJOR=253", "MINOR=3", "DEVTYPE=disk"), Disk{unix.Mkdev(253, 3), 0}, true},
		"a removed disk":    {message("remove@"+path, "MAJOR=253", "MINOR=3", "DEVTYPE=disk", "DISKSEQ=17"), Disk{}, false},
		"a disk's bdi":      {message("add@/devices/virtual/bdi/253:3", "SUBSYSTEM=bdi"), Disk{}, false},
		"a loop device":     {message("add@/devices/virtual/block/loop3", "MAJOR=7", "MINOR=3", "DEVTYPE=disk"), Disk{}, false},
		"an empty message":  {nil, Disk{}, false},
	} {
		if got, ok := parseNewDisk(test.message); ok != test.ok || ok && got != test.want {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
}
