package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"thintree/fusefs"
	"thintree/fusefs/mounts"
	"thintree/fusefs/tree"
	"thintree/fusefs/volume"
	"thintree/meta"
	"thintree/thin/resolve"
)

func mountCommand() *cli.Command {
	return &cli.Command{
		Name:      "mount",
		Usage:     "show every volume of one or more sources as folders",
		ArgsUsage: "SOURCE… MOUNTPOINT | --all MOUNTPOINT",
		Description: `Returns once the tree can be used. Entering volumes/NAME opens the volume; it is
closed after some idle time. The source is never changed. Unmount the tree with
thintree umount MOUNTPOINT. In fstab: docker:/var/lib/docker /mnt fuse.thintree noauto,idle=5m 0 0

MOUNTPOINT must not be inside the source, or above it.

The owner of an active pool can delete volumes and deactivate the pool while the tree
is mounted. Only an open file in a volume that the owner has mounted keeps that volume
busy. Deleting a volume that consists of very many pieces may take a second.

A tree is always ro,nosuid,nodev. Of mount(8)'s options -o also takes noexec,
nosymfollow, user and users (both imply noexec). Of FUSE's options it takes
default_permissions (modes and ACLs apply to the user who mounts too), fsname=NAME
(shown by df) and max_read=BYTES. Options without a meaning for a tree are ignored;
others are refused.

` + sourceHelp,
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "all", Usage: "mount all sources that thintree sources finds; those that cannot be read now appear once they can"},
			&cli.DurationFlag{Name: "idle", Value: 5 * time.Minute, Usage: "close a volume after `DURATION` without use; 0: never"},
			&cli.IntFlag{Name: "max-active", Value: 64, Usage: "keep at most `COUNT` volumes open"},
			&cli.DurationFlag{Name: "open-timeout", Value: openTimeout, Usage: "wait at most `DURATION` for another volume to close if that many are open and busy, and for a suspended pool"},
			&cli.BoolFlag{Name: "allow-other", Usage: "let other users read the tree; modes and ACLs in the volumes apply to them"},
			&cli.StringSliceFlag{Name: "o", Usage: "take `OPTION[,OPTION…]`: these flags as they are written in fstab, and options of mount(8)"},
			&cli.BoolFlag{Name: "f", Aliases: []string{"foreground"}, Usage: "stay in the foreground"},
			&cli.StringFlag{Name: "log-level", Value: "info", Usage: "log from `LEVEL` up: debug, info, warn or error"},
			&cli.StringFlag{Name: "log-file", Usage: "log to `FILE`, not to the system log (with -f: not to standard error)"},
		}, sourceFlags()...),
		CustomHelpTemplate: exits{done: "the tree can be used; with -f: it was mounted, and is unmounted now"}.after(commandHelp),
		Action:             mount,
	}
}

// garbagePercent is how much garbage the daemon collects before it looks for it, in percent of what
// it needs. What it needs grows with the volumes. A fixed limit, of which they need more, would have
// it do little else.
const garbagePercent = 40

func mount(c *cli.Context) error {
	options, err := applyOptions(c)
	if err != nil {
		return err
	}
	args := c.Args().Slice()
	switch {
	case c.Bool("all") && len(args) != 1:
		return wrongUse("mount --all takes a MOUNTPOINT and no SOURCE: thintree mount --all /mnt")
	case !c.Bool("all") && len(args) < 2:
		return wrongUse("mount takes a SOURCE and a MOUNTPOINT: thintree mount docker:/var/lib/docker /mnt")
	}
	sources, mountpoint := args[:len(args)-1], args[len(args)-1]
	switch {
	case c.Int("max-active") < 1:
		return wrongUse("--max-active: it must be at least 1")
	case c.Duration("open-timeout") < 0:
		return wrongUse("--open-timeout: it must not be negative")
	}
	mountpoint, err = mounts.Prepare(mountpoint)
	if err != nil {
		return err
	}
	if !c.Bool("f") && !isDaemon() {
		return startDaemon()
	}
	if c.Bool("all") {
		if sources, err = allSources(c.Context); err != nil {
			return err
		}
	}
	madeOf, err := openSources(c, sources)
	if err != nil {
		return err
	}
	if err := checkApart(c, mountpoint, madeOf); err != nil {
		return err
	}
	log, seen, err := openLog(c)
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	t, err := openTreeWith(c, tree.Options{
		Idle: c.Duration("idle"), MaxActive: c.Int("max-active"), MayMiss: c.Bool("all"), Options: volume.Options{OpenTimeout: c.Duration("open-timeout"), Log: log},
	}, madeOf)
	if err != nil {
		return err
	}
	defer atMost(longestEnd, t.Close)
	if !seen {
		warn(t.Tree)
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	dog, err := startWatchdog(mountpoint)
	if err != nil {
		return err
	}
	options.Log = log
	if options.Source == "" {
		options.Source = strings.Join(sources, " ")
	}
	// If a path led into the tree, the tree would wait for itself.
	resolve.Seal()
	m, err := fusefs.New(t.Tree, mountpoint, options)
	if err != nil {
		return err
	}
	if err := dog.mounted(m); err != nil {
		return errors.Join(err, m.Unmount())
	}
	log.Info("mounted", "sources", sources, "mountpoint", mountpoint)
	if isDaemon() {
		if err := daemonReady(); err != nil {
			return errors.Join(err, m.Unmount())
		}
	}
	select {
	case <-m.Done():
		log.Info("unmounted", "mountpoint", mountpoint)
		return nil
	case <-stop.Done():
		log.Info("stopping", "mountpoint", mountpoint)
		err := atMost(longestEnd, m.Unmount)
		if err != nil {
			log.Error("cannot unmount the tree", "error", err)
		}
		return err
	}
}

// allSources are all sources of this host.
func allSources(ctx context.Context) (list []string, err error) {
	found, problems := findSources(ctx)
	for _, f := range found {
		list = append(list, f.Source)
	}
	if len(list) == 0 {
		return nil, errors.Join(append([]error{errors.New("this host has no sources that can be found: name one")}, problems...)...)
	}
	return list, nil
}

// checkApart returns an error if the tree would hide its own sources or log at the mountpoint.
func checkApart(c *cli.Context, mountpoint string, sources []meta.Source) error {
	var places []string
	for _, s := range sources {
		places = append(places, s.Places()...)
	}
	if path := c.String("log-file"); path != "" {
		places = append(places, path)
	}
	return mounts.CheckApart(mountpoint, places)
}

// longestEnd is how long the process waits for a tree to end. After that it exits, and the
// watchdog cleans up.
const longestEnd = 5 * time.Second

// atMost runs a function, and returns an error if it has not ended after a duration.
func atMost(longest time.Duration, run func() error) error {
	done := make(chan error, 1)
	go func() { done <- run() }()
	select {
	case err := <-done:
		return err
	case <-time.After(longest):
		return fmt.Errorf("not ended within %v", longest)
	}
}
