// Serve mounts a tree of one pool whose volumes the kernel reads, from loop devices
// in place of device-mapper's: see package lender. It is a program of its own: a process
// that serves a tree and reads in it may never end if it fails.
//
//	serve [-idle TIME] META DATA NAMES MOUNTPOINT ID=PATH…
//
// It prints a line once the tree can be used, logs to standard error, and ends when
// the tree is unmounted. It unmounts it itself when its standard input ends, as that
// of a test that was killed does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"thintree/fusefs"
	"thintree/fusefs/tree"
	"thintree/fusefs/volume"
	"thintree/meta"
	"thintree/meta/pool"
	"thintree/tests/lender"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

func run() error {
	idle := flag.Duration("idle", time.Hour, "")
	flag.Parse()
	args := flag.Args()
	if len(args) < 5 {
		return errors.New("META DATA NAMES MOUNTPOINT ID=PATH…")
	}
	lent := lender.Lender{}
	for _, arg := range args[4:] {
		text, path, _ := strings.Cut(arg, "=")
		id, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return err
		}
		lent[uint32(id)] = path
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	t, err := tree.New(context.Background(), []meta.Source{pool.New(args[0], args[1], args[2])}, tree.Options{
		Idle: *idle, MaxActive: 4, Options: volume.Options{OpenTimeout: 10 * time.Second, Engine: volume.EngineKernel, Kernel: lent, Log: log},
	})
	if err != nil {
		return err
	}
	m, err := fusefs.New(t, args[3], fusefs.Options{Source: "pool", Log: log})
	if err != nil {
		return errors.Join(err, t.Close())
	}
	fmt.Println("mounted")
	go func() {
		io.Copy(io.Discard, os.Stdin)
		if err := m.Unmount(); err != nil {
			log.Error("unmounting", "error", err)
		}
	}()
	<-m.Done()
	return t.Close()
}
