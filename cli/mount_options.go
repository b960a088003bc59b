package cli

import (
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"thintree/fusefs"
)

// applyOptions sets the flags that -o names, and returns its other options of the
// mount. A comma in a value has a backslash before it.
func applyOptions(c *cli.Context) (o fusefs.Options, err error) {
	for _, list := range c.StringSlice("o") {
		for text := range strings.SplitSeq(strings.ReplaceAll(list, `\,`, "\x00"), ",") {
			if err := applyOption(c, &o, strings.ReplaceAll(text, "\x00", ",")); err != nil {
				return fusefs.Options{}, err
			}
		}
	}
	o.AllowOther = c.Bool("allow-other")
	return o, nil
}

func applyOption(c *cli.Context, o *fusefs.Options, text string) error {
	option, value, hasValue := strings.Cut(text, "=")
	if taken, err := takeOption(o, option, value); taken {
		return err
	}
	name := strings.ReplaceAll(option, "_", "-")
	f := flagOf(c.Command, name)
	switch {
	case name == "" || idleOptions[option] || strings.HasPrefix(option, "x-"):
		return nil
	case refusedOptions[option] != "":
		return wrongUse("-o %s: %s", text, refusedOptions[option])
	case name == "o" || f == nil:
		return wrongUse("-o %s: no such option: see thintree mount --help", text)
	case !hasValue && takesValue(f):
		return wrongUse("-o %s: it needs a value: %s=…", text, name)
	case !hasValue:
		value = "true"
	}
	if err := c.Set(name, value); err != nil {
		return wrongUse("-o %s: %v%s", text, err, unit(f))
	}
	return nil
}

// takeOption sets an option of mount(8) or of FUSE in o. It reports whether the option is one that
// a tree takes.
func takeOption(o *fusefs.Options, option, value string) (taken bool, err error) {
	switch option {
	case "exec", "noexec":
		o.NoExec = option == "noexec"
	case "user", "users": // they imply noexec, says mount(8)
		o.NoExec = true
	case "symfollow", "nosymfollow":
		o.NoSymFollow = option == "nosymfollow"
	case "default_permissions":
		o.CheckPermissions = true
	case "fsname":
		if o.Source = value; value == "" {
			return true, wrongUse("-o fsname=: it needs the name that df shows: fsname=NAME")
		}
	case "max_read":
		n, err := strconv.ParseUint(value, 10, 31)
		if o.MaxRead = int(n); err != nil || n == 0 {
			return true, wrongUse("-o max_read=%s: it needs a number of bytes: max_read=131072", value)
		}
	default:
		return false, nil
	}
	return true, nil
}

// idleOptions are accepted and change nothing. mount(8), mount.fuse3(8) and fstab(5) add some of
// them; others apply to every tree, or have no meaning for one. A tree is always ro,nosuid,nodev;
// rw, suid and dev are here because mount(8) and mount.fuse3(8) add them. Nothing is written, not
// even access times, so options about writing do not matter. The type is always fuse.thintree and
// subtype is ignored, because umount finds trees by their type. auto_unmount changes nothing,
// because the watchdog unmounts every tree whose daemon has ended.
var idleOptions = map[string]bool{
	"defaults": true, "ro": true, "rw": true, "suid": true, "nosuid": true, "dev": true, "nodev": true,
	"auto": true, "noauto": true, "nouser": true, "owner": true, "noowner": true,
	"group": true, "nogroup": true, "nofail": true, "_netdev": true, "comment": true,
	"sync": true, "async": true, "dirsync": true, "iversion": true, "noiversion": true, "nomand": true,
	"atime": true, "noatime": true, "relatime": true, "norelatime": true, "strictatime": true, "nostrictatime": true,
	"lazytime": true, "nolazytime": true, "diratime": true, "nodiratime": true, "silent": true, "loud": true,
	"subtype": true, "auto_unmount": true,
}

// refusedOptions are options that users may expect, and why a tree does not have them.
var refusedOptions = map[string]string{
	"remount":    "a tree cannot be remounted: thintree umount it first",
	"allow_root": "the kernel would show cached files to other users too: use allow_other, which applies modes and ACLs to them",
	"uid":        foreignOwner,
	"gid":        foreignOwner,
	"umask":      foreignOwner,
}

const foreignOwner = "owners and modes are shown as they are in the volumes: without allow_other they do not restrict the user who mounts"
