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
		ArgsUsage: "SOURCE… MOUNTPOINT",
		Description: `Returns once the tree can be used. Walking into volumes/NAME opens the volume,
and after some idle time it is closed. Nothing is ever changed. Unmount with
thintree umount MOUNTPOINT. In fstab: docker:/var/lib/docker /mnt fuse.thintree noauto,idle=5m 0 0

MOUNTPOINT cannot lie in what the tree is made of, or above it.

Owners of an active pool can delete volumes and deactivate the pool while it is read.
Only a file held open in a volume that they have mounted keeps that busy. A volume in
very many pieces may take them a second.

A tree is always ro,nosuid,nodev. Of mount(8)'s options -o also takes noexec,
nosymfollow, user and users (which mean noexec); of FUSE's default_permissions (the
user who mounts is held to modes and ACLs too), fsname=NAME (what df shows) and
max_read=BYTES; those that mean nothing for it are ignored, others are refused.

` + sourceHelp,
		Flags: append([]cli.Flag{
			&cli.DurationFlag{Name: "idle", Value: 5 * time.Minute, Usage: "close a volume that was not used for so long; 0: never"},
			&cli.IntFlag{Name: "max-active", Value: 64, Usage: "how many volumes may be open at once"},
			&cli.DurationFlag{Name: "open-timeout", Value: openTimeout, Usage: "how long a volume waits when that many are open and busy, and a request for a suspended pool"},
			&cli.BoolFlag{Name: "allow-other", Usage: "let other users in, held to the modes and ACLs in the volumes"},
			&cli.StringSliceFlag{Name: "o", Usage: "these flags in fstab's form, and options of mount(8): `OPTION[,OPTION…]`"},
			&cli.BoolFlag{Name: "f", Aliases: []string{"foreground"}, Usage: "stay in the foreground"},
			&cli.StringFlag{Name: "log-level", Value: "info", Usage: "debug, info, warn or error"},
			&cli.StringFlag{Name: "log-file", Usage: "log to `FILE` and not to the system log (with -f: to standard error)"},
		}, sourceFlags()...),
		Action: mount,
	}
}

// memoryLimit is from when on the daemon collects garbage more often, in bytes:
// what it needs for 10,000 volumes is about half of it.
const memoryLimit = 96 << 20

func mount(c *cli.Context) error {
	options, err := applyOptions(c)
	if err != nil {
		return err
	}
	args := c.Args().Slice()
	if len(args) < 2 {
		return wrongUse("mount takes a SOURCE and a MOUNTPOINT: thintree mount docker:/var/lib/docker /mnt")
	}
	sources, mountpoint := args[:len(args)-1], args[len(args)-1]
	switch {
	case c.Int("max-active") < 1:
		return wrongUse("--max-active: at least 1")
	case c.Duration("open-timeout") < 0:
		return wrongUse("--open-timeout: not less than 0")
	}
	mountpoint, err = mounts.Prepare(mountpoint)
	if err != nil {
		return err
	}
	if !c.Bool("f") && !isDaemon() {
		return startDaemon()
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
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	t, err := openTreeWith(c, tree.Options{
		Idle: c.Duration("idle"), MaxActive: c.Int("max-active"), Options: volume.Options{OpenTimeout: c.Duration("open-timeout"), Log: log},
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
			log.Error("unmounting", "error", err)
		}
		return err
	}
}

// checkApart refuses a mountpoint at which the tree would hide what it is made of,
// or its log.
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

// longestEnd is how long the command waits for what ends a tree. What is not done then, the
// watchdog does.
const longestEnd = 5 * time.Second

// atMost runs something, and waits so long for its end.
func atMost(longest time.Duration, run func() error) error {
	done := make(chan error, 1)
	go func() { done <- run() }()
	select {
	case err := <-done:
		return err
	case <-time.After(longest):
		return fmt.Errorf("it has not ended within %v", longest)
	}
}
