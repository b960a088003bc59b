package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"thintree/thin"
)

func TestPoolIsAStoreOrADeviceMapperName(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]poolArg{
		"store:/var/lib/thintree":     {store: "/var/lib/thintree"},
		"store:/a/../b/":              {store: "/b"},
		"vault":                       {name: "vault"},
		"dm:vault":                    {name: "vault"},
		"dm:docker:x":                 {name: "docker:x"},
		"/dev/mapper/vault":           {name: "vault"},
		"thintree-7:0-12-pool":        {name: "thintree-7:0-12-pool"},
		"docker-254:1-131-pool":       {name: "docker-254:1-131-pool"},
		"vg-pool_tdata":               {name: "vg-pool_tdata"},
		"store":                       {name: "store"},
		"dm:store:/var/lib/something": {name: "store:/var/lib/something"},
	} {
		if got, err := parsePool(arg); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", arg, got, err, want)
		}
	}
	for _, arg := range []string{"", "dm:", "store:", "/var/lib/thintree", "./x", "docker:/var/lib/docker", "pool:/m,/d", "/dev/mapper/"} {
		_, err := parsePool(arg)
		if _, ok := err.(usageError); !ok {
			t.Errorf("%q: %v, want a wrong use", arg, err)
		}
	}
}

func TestSizesArePowersOf1024AndWholeSectors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"512": 512, "4096": 4096, "1K": 1 << 10, "64k": 64 << 10, "512M": 512 << 20, "10G": 10 << 30, "10GiB": 10 << 30, "10gb": 10 << 30,
		"2T": 2 << 40, "1P": 1 << 50, "7E": 7 << 60, "512B": 512, "007K": 7 << 10,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "G", "1", "511", "-1K", "+1K", "1.5G", "1 G", "8E", "9999999999999999999", "99999999999999G", "1Ki2", "1i", "0x10", "1KK"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q: %d, want an error", text, got)
		}
	}
}

// run runs a command line with the command's action replaced.
func run(t *testing.T, action func(c *cli.Context) error, line ...string) error {
	t.Helper()
	running.Lock()
	defer running.Unlock()
	app := newApp()
	app.Command(line[0]).Command(line[1]).Action = action
	return app.Run(arrange(app, append([]string{"thintree"}, line...)))
}

func TestSizeAfterAPlusIsAddedToTheCurrentSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"+1K": 5 << 10, "8K": 8 << 10} {
		err := run(t, func(c *cli.Context) error {
			got, err := grownSize(c, "data-size", 4<<10)
			if got != want {
				t.Errorf("%s: %d, want %d", text, got, want)
			}
			return err
		}, "pool", "grow", "vault", "--data-size", text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"", "+", "++1K", "+0", "1", "+7E"} {
		err := run(t, func(c *cli.Context) error {
			_, err := grownSize(c, "data-size", 2<<60)
			return err
		}, "pool", "grow", "vault", "--data-size", text)
		if _, ok := err.(usageError); !ok {
			t.Errorf("%q: %v, want a wrong use", text, err)
		}
	}
}

func TestNewPoolIsAsTheFlagsSay(t *testing.T) {
	t.Parallel()
	err := run(t, func(c *cli.Context) error {
		n, err := newPool(c, "vault")
		if n.Name != "vault" || n.Metadata != "m" || n.Data != "d" || n.DataBytes != 100<<30 || n.MetadataBytes != 1<<30 ||
			n.BlockSectors != 256 || n.LowWaterBlocks != 9 || !n.SkipBlockZeroing || !n.ErrorIfNoSpace || !n.NoDiscardPassdown || n.ReadOnly || n.Destroy {
			t.Errorf("%+v", n)
		}
		return err
	}, "pool", "create", "vault", "--data-size", "100G", "m", "--metadata-size=1G", "d", "--block-size", "128K",
		"--low-water", "1025K", "--skip-block-zeroing", "--error-if-no-space", "--no-discard-passdown")
	if err != nil {
		t.Error(err)
	}
	err = run(t, func(c *cli.Context) error {
		n, err := newPool(c, "vault")
		if n.BlockSectors != 128 || n.LowWaterBlocks != 0 {
			t.Errorf("%+v", n)
		}
		return err
	}, "pool", "create", "vault", "m", "d")
	if err != nil {
		t.Error(err)
	}
}

func TestWrongUsesOfPoolAndVolumeAreRefused(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"pool nonsense", "volume nonsense", "pool create", "pool create vault m", "pool create vault m d --block-size 65K",
		"pool create vault m d --block-size 32K", "pool create vault m d --data-size many", "pool create vault m d --opt dm.fs=xfs",
		"pool create store:/x more", "pool create store:/x --data-size 1G", "pool create store:/x --yes", "pool create /x m d",
		"pool activate vault", "pool activate store:/x m d", "pool activate store:/x --read-only", "pool activate vault m d --opt dm.fs=xfs", "pool deactivate", "pool deactivate a b", "pool grow", "pool check",
		"pool check store:", "pool check m --opt dm.fs=xfs", "pool check store:/x --opt dm.fs=fat", "pool status --bogus", "pool status /x",
		"volume create", "volume create vault", "volume create vault 1 --size 1", "volume snapshot vault 1", "volume delete vault",
		"volume activate vault", "volume deactivate vault", "volume suspend vault", "volume resume vault", "volume mount store:/x web",
		"volume unmount store:/x", "volume trim vault", "volume ls", "volume ls vault vault", "volume ls vault --opt dm.fs=xfs",
	} {
		running.Lock()
		app := newApp()
		err := app.Run(arrange(app, append([]string{"thintree"}, strings.Fields(line)...)))
		running.Unlock()
		if _, ok := err.(usageError); !ok {
			t.Errorf("%s: %v, want a wrong use", line, err)
		}
	}
}

func TestOptionsMayHaveCommasInThem(t *testing.T) {
	t.Parallel()
	err := run(t, func(c *cli.Context) error {
		if got := c.StringSlice("opt"); !slices.Equal(got, []string{"dm.mountopt=noatime,nodiscard", "dm.fs=xfs"}) {
			t.Errorf("%q", got)
		}
		return nil
	}, "volume", "mount", "store:/x", "web", "/mnt", "--opt", "dm.mountopt=noatime,nodiscard", "--opt", "dm.fs=xfs")
	if err != nil {
		t.Error(err)
	}
}

func TestEmptyNameIsNotTheBaseDevice(t *testing.T) {
	t.Parallel()
	err := run(t, func(c *cli.Context) error { return takes(c, 3, 3, "", "") }, "volume", "mount", "store:/x", "", "/mnt")
	if _, ok := err.(usageError); !ok {
		t.Errorf("%v, want a wrong use", err)
	}
}

func TestFlagsOfSubcommandsMayStandAnywhere(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"pool create vault --data-size 1G m d":   "pool create --data-size 1G -- vault m d",
		"pool grow vault --data-size +1G --json": "pool grow --data-size +1G --json -- vault",
		"volume delete vault 7 --yes":            "volume delete --yes -- vault 7",
		"volume ls --opt dm.fs=xfs store:/x":     "volume ls --opt dm.fs=xfs -- store:/x",
		"volume umount store:/x web -- -dir":     "volume umount -- store:/x web -dir",
		"pool":                                   "pool",
		"pool --help":                            "pool --help",
		"pool help create":                       "pool help create",
		"pool nonsense --x":                      "pool nonsense --x",
	} {
		got := arrange(newApp(), append([]string{"thintree"}, strings.Fields(line)...))
		if strings.Join(got[1:], " ") != want {
			t.Errorf("%s: %q, want %q", line, got[1:], want)
		}
	}
}

func TestPoolMayBeCalledHelp(t *testing.T) {
	t.Parallel()
	called := false
	err := run(t, func(c *cli.Context) error {
		called = c.Args().First() == "help"
		return nil
	}, "pool", "status", "help")
	if err != nil || !called {
		t.Errorf("%v, called %v", err, called)
	}
}

func TestWithoutATerminalOnlyYesConfirms(t *testing.T) {
	t.Parallel()
	if term.IsTerminal(int(os.Stdin.Fd())) {
		t.Skip("needs standard input that is no terminal")
	}
	err := run(t, func(c *cli.Context) error { return confirm(c, "all is lost") }, "volume", "delete", "vault", "7")
	if err == nil || !strings.Contains(err.Error(), "--yes") || !strings.Contains(err.Error(), "all is lost") {
		t.Errorf("%v", err)
	}
	if err := run(t, func(c *cli.Context) error { return confirm(c, "all is lost") }, "volume", "delete", "vault", "7", "-y"); err != nil {
		t.Error(err)
	}
}

func TestContentsThatWouldBeLostAreNamed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "disk")
	swap := make([]byte, 1<<20)
	copy(swap[4086:], "SWAPSPACE2")
	swap[1024], swap[1028] = 1, 255 // version, last page
	if err := os.WriteFile(path, swap, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := contents(t.Context(), path); got != "swap" {
		t.Errorf("%q", got)
	}
	if got := contents(t.Context(), path+"-missing"); got != "" {
		t.Errorf("%q", got)
	}
}

func TestOnlyFilesWithContentsAreNamedAsLost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	full, none, empty := filepath.Join(dir, "full"), filepath.Join(dir, "none"), filepath.Join(dir, "empty")
	if err := errors.Join(os.WriteFile(full, []byte("something"), 0o600), os.WriteFile(empty, make([]byte, 4096), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		metadata, data string
		first          thin.NotEmptyError
		want           string
	}{
		{full, none, thin.NotEmptyError{Path: full, What: "data"}, full + " holds data"},
		{none, full, thin.NotEmptyError{Path: full, What: "data"}, full + " holds data"},
		{full, empty, thin.NotEmptyError{Path: full, What: "data"}, full + " holds data"},
		{full, dir, thin.NotEmptyError{Path: full, What: "a thin pool"}, full + " holds a thin pool"},
	} {
		want := c.want + ", which a new pool destroys"
		if got := lost(t.Context(), thin.PoolConfig{Metadata: c.metadata, Data: c.data}, &c.first); got != want {
			t.Errorf("%s and %s: %q, want %q", c.metadata, c.data, got, want)
		}
	}
}

func TestErrorOfAMissingStoreSaysHowToMakeOne(t *testing.T) {
	t.Parallel()
	err := adviseStore(&fs.PathError{Op: "open", Path: "/x/metadata", Err: fs.ErrNotExist}, "/x")
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "thintree pool create store:/x") {
		t.Errorf("%v", err)
	}
}

func TestVolumesAreListedWithTheirState(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]volumeReport{
		"":                      {},
		"active":                {Active: true},
		"suspended, read-only":  {Active: true, Suspended: true, ReadOnly: true},
		"active, to be deleted": {Active: true, Deleted: true},
		"suspended":             {Active: true, Suspended: true},
		"to be deleted":         {Deleted: true},
		"active, read-only":     {Active: true, ReadOnly: true},
	} {
		if got := v.state(); got != want {
			t.Errorf("%+v: %q, want %q", v, got, want)
		}
	}
	if got := used("/dev/x", 1<<20, 3<<20); got != "/dev/x (1.0 MiB of 3.0 MiB used, 33.3 %)" {
		t.Errorf("%q", got)
	}
	if got := used("/dev/x", 0, 0); got != "/dev/x" {
		t.Errorf("a pool that has failed: %q", got)
	}
}
