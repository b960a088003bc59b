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

// accessVolumes is how many volumes kernelAccess measures, each once.
const accessVolumes = 31

// kernelAccess measures the first listing of a volume's root with the kernel engine,
// in a tree in which only the list of volumes was looked at, and one other volume,
// beside the same system calls done by hand: loop devices stand for those of
// device-mapper. All volumes are snapshots of that of [bench.volume]. It is in memory, and
// the pool's metadata are too: those of a pool that is active are, and what is done by
// hand here needs none.
func (b *bench) kernelAccess() error {
	var names, lent []string
	for id := range accessVolumes + 1 {
		names = append(names, fmt.Sprint("v", id))
		lent = append(lent, fmt.Sprintf("%d=%s", id+1, b.path("data")))
	}
	if err := b.pool("access", volumeMiB, names...); err != nil {
		return err
	}
	if err := b.sh("cat access.meta data >/dev/null"); err != nil {
		return err
	}
	server, err := lender.Build(b.dir)
	if err != nil {
		return err
	}
	mnt := b.path("mnt-access")
	if err := os.MkdirAll(mnt, 0o755); err != nil {
		return err
	}
	served, err := lender.Serve(server, io.Discard, append([]string{b.path("access.meta"), b.path("data"), b.path("access.names"), mnt}, lent...)...)
	if err != nil {
		return err
	}
	defer served.Close()
	list := func(volume string) error {
		_, err := os.ReadDir(filepath.Join(mnt, "volumes", volume))
		return err
	}
	if err := errors.Join(list(""), list(fmt.Sprint("v", accessVolumes))); err != nil {
		return err
	}
	var ours, byHand []time.Duration
	for id := range accessVolumes {
		time.Sleep(settle)
		began := time.Now()
		if err := list(fmt.Sprint("v", id)); err != nil {
			return err
		}
		ours = append(ours, time.Since(began))
		time.Sleep(settle)
		took, err := listByHand(b.path("data"))
		if err != nil {
			return err
		}
		byHand = append(byHand, took)
	}
	slices.Sort(ours)
	slices.Sort(byHand)
	a, n := ours[accessVolumes/2], byHand[accessVolumes/2]
	b.row("kernel engine: first listing of a volume", a, n, "by hand", "≤ by hand", a <= n)
	return nil
}

// settle is how long the kernel has to end what the step before began.
const settle = 50 * time.Millisecond

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
