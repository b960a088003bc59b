package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"thintree/tests/lender"
	"thintree/thin/loop"
)

// kernelAccess measures the first listing of a volume's root with the kernel engine,
// in a tree of which only the list of volumes was looked at, beside the same system calls done by hand: loop
// devices stand for those of device-mapper.
func (b *bench) kernelAccess() error {
	server, err := lender.Build(b.dir)
	if err != nil {
		return err
	}
	mnt := b.path("mnt-access")
	if err := os.MkdirAll(mnt, 0o755); err != nil {
		return err
	}
	const rounds = 15
	var ours, byHand []time.Duration
	for range rounds {
		served, err := lender.Serve(server, io.Discard, b.path("volume.meta"), b.path("data"), b.path("volume.names"), mnt, "1="+b.path("data"))
		if err != nil {
			return err
		}
		_, err = os.ReadDir(filepath.Join(mnt, "volumes"))
		began := time.Now()
		_, err2 := os.ReadDir(filepath.Join(mnt, "volumes/v"))
		ours = append(ours, time.Since(began))
		if err := errors.Join(err, err2, served.Close()); err != nil {
			return err
		}
		took, err := listByHand(b.path("data"))
		if err != nil {
			return err
		}
		byHand = append(byHand, took)
	}
	slices.Sort(ours)
	slices.Sort(byHand)
	a, n := ours[rounds/2], byHand[rounds/2]
	b.row("kernel engine: first listing of a volume", a, n, "by hand", "≤ by hand", a <= n)
	return nil
}

// listByHand mounts an image attached nowhere, and lists its root. It tells how long
// that took.
func listByHand(image string) (took time.Duration, err error) {
	began := time.Now()
	d, err := loop.Attach(context.Background(), image, loop.Options{ReadOnly: true})
	if err != nil {
		return 0, err
	}
	defer d.Close()
	conf, err := unix.Fsopen("ext4", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return 0, err
	}
	defer unix.Close(conf)
	err = errors.Join(unix.FsconfigSetString(conf, "source", d.Path()), unix.FsconfigSetFlag(conf, "ro"), unix.FsconfigCreate(conf))
	if err != nil {
		return 0, fmt.Errorf("mount: %w", err)
	}
	mount, err := unix.Fsmount(conf, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return 0, err
	}
	defer unix.Close(mount)
	root, err := unix.Openat(mount, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	dir := os.NewFile(uintptr(root), image)
	defer dir.Close()
	_, err = dir.ReadDir(-1)
	return time.Since(began), err
}
