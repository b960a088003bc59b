package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
// device-mapper. All volumes are snapshots of that of [bench.volume].
func (b *bench) kernelAccess() error {
	blocks := volumeMiB << 20 / (64 << 10)
	var devices, names strings.Builder
	var lent []string
	for id := range accessVolumes + 1 {
		fmt.Fprintf(&devices, `<device dev_id="%d" mapped_blocks="%d" transaction="0" creation_time="0" snap_time="0">
<range_mapping origin_begin="0" data_begin="0" length="%d" time="0"/></device>`, id, blocks, blocks)
		fmt.Fprintf(&names, "%d %d v%d\n", id, volumeMiB<<20/512, id)
		lent = append(lent, fmt.Sprintf("%d=%s", id, b.path("data")))
	}
	xml := fmt.Sprintf(`<superblock uuid="" time="0" transaction="1" flags="0" version="2" data_block_size="128" nr_data_blocks="%d">%s</superblock>`, blocks, devices.String())
	if err := b.restore("access", xml, names.String()); err != nil {
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
