package deviceset

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestOptionsHaveDockersNames(t *testing.T) {
	t.Parallel()
	got, err := ParseOptions([]string{
		"dm.basesize=20G", "dm.fs=xfs", "dm.mkfsarg=-O ^has_journal", "dm.mkfsarg=-q", "dm.mountopt=nodiscard", "dm.mountopt=noatime",
		"dm.loopdatasize=200GB", "dm.loopmetadatasize=4096m", "dm.blocksize=512K", "dm.blkdiscard=false",
		"dm.use_deferred_removal=true", "dm.use_deferred_deletion=true", "dm.min_free_space=5%", "dm.override_udev_sync_check=true",
	})
	want := Options{
		BaseBytes: 20 << 30, Filesystem: "xfs", MkfsArgs: []string{"-O ^has_journal", "-q"}, MountOptions: "nodiscard,noatime",
		DataBytes: 200 << 30, MetadataBytes: 4 << 30, BlockSectors: 1024,
		DeferredRemoval: true, DeferredDeletion: true, MinFreePercent: 5,
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Options{})); diff != "" {
		t.Error(diff)
	}
}

func TestPoolOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list []string
		want func(*Options)
	}{
		{nil, func(o *Options) { o.Discard = true }},
		{[]string{"dm.thinpooldev=/dev/mapper/vg-thin"}, func(o *Options) { o.Pool = "vg-thin" }},
		{[]string{"DM.ThinPoolDev = thin"}, func(o *Options) { o.Pool = "thin" }},
		{[]string{"dm.thinpooldev=thin", "dm.blkdiscard=true"}, func(o *Options) { o.Pool, o.Discard = "thin", true }},
		{[]string{"dm.thinpooldev=thin", "dm.thinpooldev=thin"}, func(o *Options) { o.Pool = "thin" }},
		{[]string{"dm.datadev=/dev/d", "dm.metadatadev=/dev/m"}, func(o *Options) { o.Data, o.Metadata = "/dev/d", "/dev/m" }},
	} {
		want := defaultOptions()
		c.want(&want)
		got, err := ParseOptions(c.list)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Options{})); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", c.list, err, diff)
		}
	}
}

func TestBadOptionsAreErrors(t *testing.T) {
	t.Parallel()
	for _, list := range [][]string{
		{""}, {"dm.nothing=1"}, {"dm.basesize"}, {"dm.basesize="}, {"dm.basesize=-1"}, {"dm.basesize=1000"}, {"dm.basesize=0"},
		{"dm.basesize=10Q"}, {"dm.basesize=99999999T"}, {"dm.fs=btrfs"}, {"dm.blocksize=100K"}, {"dm.blocksize=4G"}, {"dm.blocksize=32K"},
		{"dm.blkdiscard=perhaps"}, {"dm.min_free_space=100%"}, {"dm.min_free_space=-1%"}, {"dm.min_free_space=x"},
		{"dm.use_deferred_deletion=true"}, {"dm.datadev=/dev/d"}, {"dm.metadatadev=/dev/m"}, {"dm.thinpooldev="},
		{"dm.datadev=/dev/d", "dm.metadatadev=/dev/m", "dm.thinpooldev=p"}, {"dm.mkfsarg="},
		// Options that could not take effect.
		{"dm.loopdatasize=1G", "dm.thinpooldev=p"}, {"dm.thinpooldev=p", "dm.loopmetadatasize=1G"},
		{"dm.loopdatasize=1G", "dm.datadev=/dev/d", "dm.metadatadev=/dev/m"}, {"dm.loopmetadatasize=1G", "dm.datadev=/dev/d", "dm.metadatadev=/dev/m"},
		{"dm.basesize=10G", "dm.basesize=20G"}, {"dm.fs=xfs", "DM.FS=ext4"}, {"dm.thinpooldev=a", "dm.thinpooldev=b"},
		{"dm.use_deferred_removal=true", "dm.use_deferred_removal=false"}, {"dm.override_udev_sync_check=x"},
	} {
		_, err := ParseOptions(list)
		if _, ok := errors.AsType[*OptionError](err); !ok {
			t.Errorf("%q: %v", list, err)
		}
	}
}

func TestMountOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ fs, options, label, want string }{
		{ext4, "", "", ""},
		{ext4, "nodiscard,noatime", "", "nodiscard,noatime"},
		{xfs, "", "", "nouuid"},
		{xfs, "noatime", "", "nouuid,noatime"},
		{ext4, "", "system_u:object_r:container_file_t:s0:c1,c2", `context="system_u:object_r:container_file_t:s0:c1,c2"`},
		{xfs, "noatime", "s0", `nouuid,noatime,context="s0"`},
	} {
		if got := mountOptions(c.fs, c.options, c.label); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
