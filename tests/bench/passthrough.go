package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"thintree/fusefs"
	"thintree/fusefs/tree"
	"thintree/meta"
	"thintree/meta/pool"
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
	mnt, err := b.serve(device)
	if err != nil {
		return err
	}
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
	return errors.Join(b.umount(mnt), b.umount(native))
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

// serve mounts the pool in a process of its own, with a device for its volume.
func (b *bench) serve(device string) (string, error) {
	mnt := b.path("mnt-passthrough")
	if err := os.MkdirAll(mnt, 0o755); err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(self, serveCommand, b.path("volume.meta"), b.path("data"), b.path("volume.names"), device, mnt)
	cmd.Stderr = os.Stderr
	ready, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	go cmd.Wait() // it ends when the tree is unmounted
	if _, err := bufio.NewReader(ready).ReadString('\n'); err != nil {
		return "", fmt.Errorf("the process that serves %s: %w", mnt, err)
	}
	b.mounts = append(b.mounts, mnt)
	return mnt, nil
}

// serveCommand has this program serve a tree: its metadata, data, names, the device
// that is lent for device 1, and the mountpoint follow.
const serveCommand = "serve"

func serve(args []string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	t, err := tree.New(context.Background(), []meta.Source{pool.New(args[0], args[1], args[2])}, tree.Options{
		Idle: time.Hour, MaxActive: 4, OpenTimeout: time.Minute, Engine: tree.EngineAuto, Kernel: lender.Lender{1: args[3]}, Log: log,
	})
	if err != nil {
		return err
	}
	m, err := fusefs.New(t, args[4], fusefs.Options{Source: "bench", Log: log})
	if err != nil {
		return errors.Join(err, t.Close())
	}
	fmt.Println("ready")
	<-m.Done()
	return t.Close()
}
