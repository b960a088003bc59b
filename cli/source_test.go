package cli

import (
	"strings"
	"testing"

	"thintree/meta/systems"
)

func TestHelpNamesEachNamingSystem(t *testing.T) {
	t.Parallel()
	const first = `SOURCE is one of
   docker:DIR        a Docker root (/var/lib/docker) with the devicemapper driver
   store:DIR         a store of thintree's own: what a Docker root has in its
                     folder devicemapper
   lvm:DISK,DISK|VG  all volume groups of LVM on disks, partitions or
                     images, whose paths have a slash; or one group of this
                     host, by its name or id
   pool:META,DATA    a pool's metadata and data: files or block devices
   DIR               a folder, recognised by its contents
`
	if !strings.HasPrefix(sourceHelp, first) {
		t.Errorf("help begins with\n%s", sourceHelp)
	}
	for _, s := range systems.All() {
		if !strings.Contains(sourceHelp, "   "+s.Form()+" ") {
			t.Errorf("help does not name %s", s.Form())
		}
	}
}

func TestWordsAreJoinedAsInASentence(t *testing.T) {
	t.Parallel()
	for want, words := range map[string][]string{
		"": nil, "a": {"a"}, "a and b": {"a", "b"}, "a, b and c": {"a", "b", "c"},
	} {
		if got := list(words, "and"); got != want {
			t.Errorf("%q instead of %q", got, want)
		}
	}
}
