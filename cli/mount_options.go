package cli

import (
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"thintree/fusefs"
)

// applyOptions sets the flags that -o names, and gives what else it says of the
// mount. A comma in a value is written with a backslash before it.
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
		return wrongUse("-o %s: it takes a value: %s=…", text, name)
	case !hasValue:
		value = "true"
	}
	if err := c.Set(name, value); err != nil {
		return wrongUse("-o %s: %v%s", text, err, unit(f))
	}
	return nil
}

// takeOption takes an option of mount(8) or of FUSE that says how a tree is mounted,
// and reports whether it is one.
func takeOption(o *fusefs.Options, option, value string) (taken bool, err error) {
	switch option {
	case "exec", "noexec":
		o.NoExec = option == "noexec"
	case "user", "users": // they mean noexec, as mount(8) has it
		o.NoExec = true
	case "symfollow", "nosymfollow":
		o.NoSymFollow = option == "nosymfollow"
	case "default_permissions":
		o.CheckPermissions = true
	case "fsname":
		if o.Source = value; value == "" {
			return true, wrongUse("-o fsname=: it takes what df is to show: fsname=NAME")
		}
	case "max_read":
		n, err := strconv.ParseUint(value, 10, 31)
		if o.MaxRead = int(n); err != nil || n == 0 {
			return true, wrongUse("-o max_read=%s: it takes a number of bytes: max_read=131072", value)
		}
	default:
		return false, nil
	}
	return true, nil
}

// idleOptions are those that mount(8), mount.fuse3(8) and fstab(5) add, and those
// that hold for every tree or mean nothing for it. A tree is always ro,nosuid,nodev;
// rw, suid and dev are here because mount(8) and mount.fuse3(8) add them by themselves.
// Nothing is written, no access time either, so how that is done does not matter. The
// type is fuse.thintree whatever subtype says, as umount finds trees by it. The
// watchdog does for every tree what auto_unmount asks for.
var idleOptions = map[string]bool{
	"defaults": true, "ro": true, "rw": true, "suid": true, "nosuid": true, "dev": true, "nodev": true,
	"auto": true, "noauto": true, "nouser": true, "owner": true, "noowner": true,
	"group": true, "nogroup": true, "nofail": true, "_netdev": true, "comment": true,
	"sync": true, "async": true, "dirsync": true, "iversion": true, "noiversion": true, "nomand": true,
	"atime": true, "noatime": true, "relatime": true, "norelatime": true, "strictatime": true, "nostrictatime": true,
	"lazytime": true, "nolazytime": true, "diratime": true, "nodiratime": true, "silent": true, "loud": true,
	"subtype": true, "auto_unmount": true,
}

// refusedOptions are options that people try, and why they cannot be had.
var refusedOptions = map[string]string{
	"remount":    "a tree cannot be mounted anew: thintree umount it first",
	"allow_root": "what the kernel keeps it shows to others too: take allow_other, which holds them to modes and ACLs",
	"uid":        foreignOwner,
	"gid":        foreignOwner,
	"umask":      foreignOwner,
}

const foreignOwner = "owners and modes are shown as they are in the volumes: without allow_other they do not matter to the user who mounts"
