package lend

import (
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"thintree/thin/dm"
)

// Revoke takes a device, by its number, away from whoever still has it open or
// mounted, or a file on it mapped: they read what they have read before, or EIO.
// What it was activated from is free then. The device must still be in use.
func (l *Lender) Revoke(ctx context.Context, number uint64) error {
	text, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/dm/name", unix.Major(number), unix.Minor(number)))
	if err != nil {
		return err
	}
	name := strings.TrimSuffix(string(text), "\n")
	if !strings.HasPrefix(name, fmt.Sprintf("%s%d-", prefix, os.Getpid())) {
		return fmt.Errorf("%s was not lent to this process: %w", name, unix.EINVAL)
	}
	return l.revoke(ctx, name)
}

func (l *Lender) revoke(ctx context.Context, name string) error {
	client := l.kernel.DM()
	info, table, err := client.Table(ctx, name)
	if err != nil {
		return err
	}
	var sectors uint64
	for _, t := range table {
		sectors += t.Length
	}
	if err := client.Load(ctx, name, []dm.Target{{Length: sectors, Type: "error"}}, info.ReadOnly); err != nil {
		return err
	}
	// Nothing is written to it, and nothing is waited for that lies beneath.
	err = client.Suspend(ctx, name, dm.SuspendOptions{SkipLockFS: true, NoFlush: true})
	if _, e := client.Resume(context.WithoutCancel(ctx), name, dm.Unchanged); err == nil {
		err = e
	}
	return err
}
