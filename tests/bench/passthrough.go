package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"thintree/tests/lender"
)

// passthrough measures the volume of [bench.volume] with the kernel engine, beside
// the kernel's own mount of the same loop device. The device stands for the one
// that device-mapper would make: what is above it is as it is there.
func (b *bench) passthrough() error {
	out, err := exec.Command("losetup", "--find", "--show", "--read-only", b.path("data")).Output()
	if err != nil {
		return fmt.Errorf("losetup: %w", err)
	}
	device := strings.TrimSpace(string(out))
	defer exec.Command("losetup", "--detach", device).Run()
	native := b.path("native-passthrough")
	if err := os.MkdirAll(native, 0o755); err != nil {
		return err
	}
	if err := b.sh("mount -o ro,noload " + device + " " + native); err != nil {
		return err
	}
	b.mounts = append(b.mounts, native)
	server, err := lender.Build(b.dir)
	if err != nil {
		return err
	}
	mnt := b.path("mnt-passthrough")
	if err := os.MkdirAll(mnt, 0o755); err != nil {
		return err
	}
	served, err := lender.Serve(server, io.Discard, b.path("volume.meta"), b.path("data"), b.path("volume.names"), mnt, "1="+device)
	if err != nil {
		return err
	}
	defer served.Close()
	ours := filepath.Join(mnt, "volumes/v")
	// The disk would be the most of a cold read, and is never as fast twice: the
	// device's own file is in memory.
	cold := func() error { return errors.Join(dropCaches(), sequential(b.path("data"))()) }
	for _, c := range []struct {
		what   string
		before func() error
	}{{"cold", cold}, {"warm", nil}} {
		a, n, err := pair(9, c.before, sequential(ours+"/large"), sequential(native+"/large"))
		if err != nil {
			return err
		}
		b.row(fmt.Sprintf("passthrough: sequential read of %d MiB, %s", largeMiB, c.what), a, n, "its mount", "≥ 0.95 × the speed", float64(n) >= 0.95*float64(a))
	}
	before := len(b.rows)
	if err := b.walkTree(ours, native); err != nil {
		return err
	}
	for i := range b.rows[before:] {
		b.rows[before+i][0] = "kernel engine: " + b.rows[before+i][0]
	}
	return b.umount(native)
}

// sequential reads a file from its beginning to its end.
func sequential(path string) func() error {
	return func() error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, make([]byte, 1<<20))
		return err
	}
}
