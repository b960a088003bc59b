package deviceset

import (
	"errors"
	"strings"
	"testing"

	"thintree/meta/record"
)

// An option that agrees with the existing store has taken effect; another one never will.
func TestOptionsThatCannotTakeEffectAreErrors(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	ctx := t.Context()
	same := []string{
		"dm.fs=ext4", "dm.blocksize=64k", "dm.mountopt=noatime", "dm.blkdiscard=true", "dm.min_free_space=5%", "dm.use_deferred_removal=true",
		"dm.use_deferred_deletion=true", "dm.override_udev_sync_check=true", "dm.mkfsarg=-v",
	}
	for _, doInit := range []bool{true, true, false} {
		s, err := f.open(ctx, doInit, same...)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	for option, says := range map[string]string{
		"dm.fs=xfs":         "the base device has ext4",
		"dm.blocksize=128K": "the pool's data blocks have 64 KiB",
	} {
		for _, doInit := range []bool{true, false} {
			s, err := f.open(ctx, doInit, option)
			if err == nil {
				s.Close(ctx)
			}
			settled, ok := errors.AsType[*SettledError](err)
			if !ok || settled.Option != option || !strings.Contains(settled.Is, says) {
				t.Errorf("%s: %v", option, err)
			}
		}
	}
	o, err := ParseOptions([]string{"dm.thinpooldev=" + fakePool, "dm.basesize=128M"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.openWith(ctx, true, o)
	if settled, ok := errors.AsType[*SettledError](err); !ok || settled.Option != "dm.basesize=128M" || !strings.Contains(settled.Is, "the base device has 64 MiB (67108864 bytes)") {
		t.Errorf("error: %v", err)
	}
}

// Docker before 1.9 did not record the type of the base device's filesystem.
func TestUnrecordedFilesystemIsIdentified(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	ctx := t.Context()
	s := f.mustOpen(t)
	s.set.BaseDeviceFilesystem = ""
	if err := errors.Join(record.WriteDeviceSet(s.records, s.set), s.Close(ctx)); err != nil {
		t.Fatal(err)
	}
	s, err := f.open(ctx, false, "dm.fs=ext4")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = f.open(ctx, false, "dm.fs=xfs")
	if !errors.As(err, new(*SettledError)) {
		t.Errorf("error: %v", err)
	}
}

// It is not recorded with which arguments a filesystem was made. So such an option is no
// error, but its lack of effect is reported.
func TestArgumentsForAnExistingFilesystemAreReported(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	for _, c := range []struct {
		option   string
		reported bool
	}{{"dm.mkfsarg=-v", false}, {"dm.mkfsarg=-v", true}, {"dm.mountopt=noatime", false}} {
		s := f.mustOpen(t, c.option)
		st, err := s.Status(t.Context())
		if err != nil || (len(st.Ignored) == 1 && strings.Contains(st.Ignored[0], c.option)) != c.reported || len(st.Problems) > 0 {
			t.Errorf("%+v: %q, %q, %v", c, st.Ignored, st.Problems, err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestBlkdiscardIsRefusedIfThePoolPassesNoDiscardsOn(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"ignore_discard", "no_discard_passdown"} {
		f := newFakeWith(t, "7:100 7:101 128 0 1 "+word)
		s, err := f.open(t.Context(), true, "dm.blkdiscard=true")
		if err == nil {
			s.Close(t.Context())
		}
		if settled, ok := errors.AsType[*SettledError](err); !ok || !strings.Contains(settled.Is, word) {
			t.Errorf("%s: %v", word, err)
		}
		s, err = f.open(t.Context(), true, "dm.blkdiscard=false")
		if err != nil {
			t.Errorf("%s: %v", word, err)
			continue
		}
		s.Close(t.Context())
	}
}
