package systems

import (
	"path/filepath"
	"strings"
	"testing"

	"thintree/meta"
)

func TestEachSystemSaysWhatACommandNeedsOfIt(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, s := range All() {
		switch {
		case s.Name == "" || s.Argument == "" || s.Noun == "" || s.Help == "" || s.Open == nil || s.Recognise == nil:
			t.Errorf("%+v is not complete", s)
		case known[s.Name]:
			t.Errorf("two systems are called %s", s.Name)
		}
		known[s.Name] = true
		for line := range strings.SplitSeq(s.Help, "\n") {
			if len(line) > 60 {
				t.Errorf("%s: the help has a line of %d bytes: %s", s.Name, len(line), line)
			}
		}
	}
}

func TestSourcesArePrintedAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	written := map[string]string{"DIR": dir, "DISK,DISK|VG": filepath.Join(dir, "disk"), "POOL": "vg-pool", "IMAGE": filepath.Join(dir, "disk"), "META,DATA": filepath.Join(dir, "m") + "," + filepath.Join(dir, "d")}
	for _, s := range All() {
		argument := written[s.Argument]
		source, err := s.Open(argument, meta.Options{})
		if err != nil {
			t.Errorf("%s: %v", s.Form(), err)
			continue
		}
		if want := s.Name + ":" + argument; source.String() != want {
			t.Errorf("%s instead of %s", source, want)
		}
	}
}

func TestAnEmptyArgumentIsAnError(t *testing.T) {
	t.Parallel()
	for _, s := range All() {
		if _, err := s.Open("", meta.Options{}); err == nil || !strings.HasPrefix(err.Error(), s.Name+":") {
			t.Errorf("%s: error %v", s.Form(), err)
		}
	}
}

func TestAPathThatHoldsNothingIsNoSource(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, s := range All() {
		if found, err := s.Recognise(t.Context(), dir); found || err != nil {
			t.Errorf("%s: an empty folder: %v, %v", s.Form(), found, err)
		}
	}
}
