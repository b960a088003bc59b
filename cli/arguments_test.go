package cli

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/urfave/cli/v2"
)

func TestFlagsMayStandAnywhere(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"ls docker:/d --json":                     "ls --json -- docker:/d",
		"ls --json docker:/d":                     "ls --json -- docker:/d",
		"ls pool:/m,/d --names F vol:/x -l":       "ls --names F -l -- pool:/m,/d vol:/x",
		"ls --names=F pool:/m,/d":                 "ls --names=F -- pool:/m,/d",
		"ls docker:/d -- --json":                  "ls -- docker:/d --json",
		"ls docker:/d -":                          "ls -- docker:/d -",
		"mount docker:/d /mnt -o ro,idle=5m":      "mount -o ro,idle=5m -- docker:/d /mnt",
		"docker:/d /mnt -o ro,idle=5m":            "mount -o ro,idle=5m -- docker:/d /mnt",
		"/var/lib/docker /mnt -f":                 "mount -f -- /var/lib/docker /mnt",
		"mount -f --idle 1m a:/b c:/d /mnt":       "mount -f --idle 1m -- a:/b c:/d /mnt",
		"mount a:/b /mnt --idle":                  "mount --idle -- a:/b /mnt",
		"nonsense x y":                            "nonsense x y",
		"docker:/d":                               "docker:/d",
		"--help":                                  "--help",
		"help mount":                              "help mount",
		"cp a:/b v:/x --generate-bash-completion": "cp a:/b v:/x --generate-bash-completion",
	} {
		got := arrange(newApp(), append([]string{"thintree"}, strings.Fields(line)...))
		if want := append([]string{"thintree"}, strings.Fields(want)...); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	if got := arrange(newApp(), []string{"thintree"}); len(got) != 1 {
		t.Errorf("no arguments: %q", got)
	}
}

func TestVolumeAndPathAreSplitAtTheFirstColonAndSlash(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string][2]string{
		"base":                  {"base", "/"},
		"base:/":                {"base", "/"},
		"base:/etc/passwd":      {"base", "/etc/passwd"},
		"base:/a:/b":            {"base", "/a:/b"},
		"container:web:/etc":    {"container:web", "/etc"},
		"image:web:2:/etc":      {"image:web:2", "/etc"},
		"image:x:5000/y:1:/etc": {"image:x:5000/y:1", "/etc"},
		"@7:/etc":               {"@7", "/etc"},
		"container:web":         {"container:web", "/"},
		"base:etc":              {"base:etc", "/"},
	} {
		if volume, path := splitPath(arg); volume != want[0] || path != want[1] {
			t.Errorf("%s: %q and %q, want %q and %q", arg, volume, path, want[0], want[1])
		}
	}
}

// running is held while a command line runs: the library then sets its global variables.
var running sync.Mutex

// parseMount parses the command line of a mount, and returns the context with its flags.
func parseMount(t *testing.T, args ...string) (c *cli.Context, err error) {
	t.Helper()
	running.Lock()
	defer running.Unlock()
	app := newApp()
	app.Command("mount").Action = func(got *cli.Context) error {
		c = got
		_, err = applyOptions(got)
		return nil
	}
	line := append(append([]string{"thintree", "mount"}, args...), "docker:/d", "/mnt")
	if runErr := app.Run(arrange(app, line)); runErr != nil {
		t.Fatal(runErr)
	}
	return c, err
}

func TestOptionsInTheFormOfFstab(t *testing.T) {
	t.Parallel()
	c, err := parseMount(t, "-o", "ro,nosuid,nodev,_netdev,x-systemd.automount,idle=90s,max_active=3,allow_other,", "-o", "open-timeout=2s,held_root,log_level=debug")
	if err != nil {
		t.Fatal(err)
	}
	for name, is := range map[string]bool{
		"idle":         c.Duration("idle") == 90*time.Second,
		"max-active":   c.Int("max-active") == 3,
		"allow-other":  c.Bool("allow-other"),
		"open-timeout": c.Duration("open-timeout") == 2*time.Second,
		"held-root":    c.Bool("held-root"),
		"log-level":    c.String("log-level") == "debug",
	} {
		if !is {
			t.Errorf("%s is %v", name, c.Value(name))
		}
	}
	if got := c.Args().Slice(); !slices.Equal(got, []string{"docker:/d", "/mnt"}) {
		t.Errorf("arguments %q", got)
	}
}

func TestOptionThatIsUnknownOrWrongIsAWrongUse(t *testing.T) {
	t.Parallel()
	for _, o := range []string{"bogus", "bogus=1", "o=ro", "idle=soon", "max-active=many", "allow_other=perhaps"} {
		_, err := parseMount(t, "-o", o)
		if _, ok := err.(usageError); !ok {
			t.Errorf("-o %s: %v, want a wrong use", o, err)
		} else if !strings.Contains(err.Error(), o) {
			t.Errorf("-o %s: %v does not name the option", o, err)
		}
	}
}

func TestWithoutOptionsTheDefaultsApply(t *testing.T) {
	t.Parallel()
	c, err := parseMount(t)
	if err != nil {
		t.Fatal(err)
	}
	if c.Duration("idle") != 5*time.Minute || c.Int("max-active") != 64 || c.Duration("open-timeout") != time.Minute || c.Bool("allow-other") {
		t.Errorf("idle %v, max-active %d, open-timeout %v, allow-other %v", c.Duration("idle"), c.Int("max-active"), c.Duration("open-timeout"), c.Bool("allow-other"))
	}
}
