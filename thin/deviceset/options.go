package deviceset

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"thintree/thin"
	"thintree/thin/blockdev"
)

// Options say how to create and use a store. [ParseOptions] reads them by Docker's names
// (--storage-opt).
type Options struct {
	// BaseBytes is the length of the base device in bytes, and the shortest length of all
	// other devices.
	BaseBytes int64
	// Filesystem is the filesystem of the base device: "ext4" or "xfs".
	Filesystem string
	// MkfsArgs are arguments for mkfs; MountOptions are options for each mount.
	MkfsArgs     []string
	MountOptions string

	// DataBytes and MetadataBytes are the lengths in bytes of the pool's files, when they
	// are created.
	DataBytes, MetadataBytes int64
	// Data and Metadata are the paths of the pool's data and metadata if they are not files
	// in the store. Pool is the name of an active pool of another owner.
	Data, Metadata string
	Pool           string
	// BlockSectors is the length of a new pool's data blocks, in sectors of 512 bytes.
	BlockSectors uint32

	// Discard discards the blocks of a deleted device on the device or file that holds the
	// data.
	Discard bool
	// DeferredRemoval deactivates a device in use once it is not in use any more;
	// DeferredDeletion deletes it then.
	DeferredRemoval, DeferredDeletion bool
	// MinFreePercent is the percentage of the pool's data and of its metadata that must be
	// free for a new device.
	MinFreePercent uint64

	given map[string]string // the values of the options that were given, by name
}

func defaultOptions() Options {
	return Options{
		BaseBytes:      10 << 30,
		Filesystem:     ext4,
		DataBytes:      100 << 30,
		MetadataBytes:  2 << 30,
		BlockSectors:   128,
		MinFreePercent: 10,
	}
}

// The filesystems that a base device can have.
const (
	ext4 = "ext4"
	xfs  = "xfs"
)

// OptionError says that an option is unknown, has an invalid value, or contradicts others.
type OptionError struct{ Option, Why string }

func (e *OptionError) Error() string { return fmt.Sprintf("option %q: %s", e.Option, e.Why) }

// ParseOptions reads options of the form dm.basesize=10G. Sizes are in bytes or
// have a unit, k, m, g or t, of 1024. The error is an *[OptionError].
func ParseOptions(list []string) (Options, error) {
	o := defaultOptions()
	o.given = map[string]string{}
	for _, option := range list {
		name, value, ok := strings.Cut(option, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		set, known := settings[name]
		if !known {
			return Options{}, &OptionError{option, "there is no such option"}
		}
		if !ok || strings.TrimSpace(value) == "" {
			return Options{}, &OptionError{option, "it has no value: " + name + "=…"}
		}
		value = strings.TrimSpace(value)
		if before, twice := o.given[name]; twice && before != value && !adds[name] {
			return Options{}, &OptionError{option, "it is also given as " + before}
		}
		if err := set(&o, value); err != nil {
			return Options{}, &OptionError{option, err.Error()}
		}
		o.given[name] = value
	}
	for _, name := range []string{"dm.loopdatasize", "dm.loopmetadatasize"} {
		if value, ok := o.given[name]; ok && (o.Pool != "" || o.Data != "" || o.Metadata != "") {
			return Options{}, &OptionError{name + "=" + value, "with dm.thinpooldev, dm.datadev or dm.metadatadev the pool is not in files of the store"}
		}
	}
	if _, given := o.given["dm.blkdiscard"]; !given {
		o.Discard = o.Pool == "" && o.Data == "" // with files it frees space of their filesystem
	}
	if o.DeferredDeletion && !o.DeferredRemoval {
		return Options{}, &OptionError{"dm.use_deferred_deletion", "it needs dm.use_deferred_removal=true"}
	}
	if (o.Data == "") != (o.Metadata == "") {
		return Options{}, &OptionError{"dm.datadev", "dm.datadev and dm.metadatadev must be given together"}
	}
	if o.Pool != "" && o.Data != "" {
		return Options{}, &OptionError{"dm.thinpooldev", "it cannot be given with dm.datadev"}
	}
	return o, nil
}

// adds are the options that may be given several times, with different values.
var adds = map[string]bool{"dm.mkfsarg": true, "dm.mountopt": true}

var settings = map[string]func(o *Options, value string) error{
	"dm.basesize": func(o *Options, v string) error { return size(&o.BaseBytes, v) },
	"dm.fs": func(o *Options, v string) error {
		if v != ext4 && v != xfs {
			return fmt.Errorf("it must be ext4 or xfs")
		}
		o.Filesystem = v
		return nil
	},
	"dm.mkfsarg":          func(o *Options, v string) error { o.MkfsArgs = append(o.MkfsArgs, v); return nil },
	"dm.mountopt":         func(o *Options, v string) error { o.MountOptions = joinOptions(o.MountOptions, v); return nil },
	"dm.loopdatasize":     func(o *Options, v string) error { return size(&o.DataBytes, v) },
	"dm.loopmetadatasize": func(o *Options, v string) error { return size(&o.MetadataBytes, v) },
	"dm.datadev":          func(o *Options, v string) error { o.Data = v; return nil },
	"dm.metadatadev":      func(o *Options, v string) error { o.Metadata = v; return nil },
	"dm.thinpooldev": func(o *Options, v string) error {
		o.Pool = strings.TrimPrefix(v, "/dev/mapper/")
		return nil
	},
	"dm.blocksize": func(o *Options, v string) error {
		var bytes int64
		if err := size(&bytes, v); err != nil {
			return err
		}
		o.BlockSectors = uint32(min(bytes/blockdev.SectorBytes, 1<<31))
		return thin.CheckBlockSectors(o.BlockSectors)
	},
	"dm.blkdiscard":            func(o *Options, v string) error { return boolean(&o.Discard, v) },
	"dm.use_deferred_removal":  func(o *Options, v string) error { return boolean(&o.DeferredRemoval, v) },
	"dm.use_deferred_deletion": func(o *Options, v string) error { return boolean(&o.DeferredDeletion, v) },
	"dm.min_free_space": func(o *Options, v string) error {
		n, err := strconv.ParseUint(strings.TrimSuffix(v, "%"), 10, 64)
		if err != nil || n >= 100 {
			return fmt.Errorf("it must be a percentage, 0%% to 99%%")
		}
		o.MinFreePercent = n
		return nil
	},
	// The option is accepted and ignored: package dm detects whether udev runs.
	"dm.override_udev_sync_check": func(_ *Options, v string) error { return boolean(new(bool), v) },
}

func boolean(to *bool, value string) (err error) {
	*to, err = strconv.ParseBool(value)
	if err != nil {
		err = fmt.Errorf("it must be true or false")
	}
	return err
}

// size parses a length, a multiple of the sector's length.
func size(to *int64, value string) error {
	// Docker's units are powers of 1024, whether written as k, kb or kib.
	unit := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(value), "b"), "i")
	if strings.HasSuffix(unit, "k") || strings.HasSuffix(unit, "m") || strings.HasSuffix(unit, "g") || strings.HasSuffix(unit, "t") {
		unit += "ib"
	}
	n, err := humanize.ParseBytes(unit)
	if err != nil || n == 0 || n > 1<<60 || n%blockdev.SectorBytes != 0 {
		return fmt.Errorf("%q is not a size: write a number of bytes, a multiple of %d, or a number with a unit, such as 10G", value, blockdev.SectorBytes)
	}
	*to = int64(n)
	return nil
}

func joinOptions(list ...string) string {
	var given []string
	for _, o := range list {
		if o != "" {
			given = append(given, o)
		}
	}
	return strings.Join(given, ",")
}
