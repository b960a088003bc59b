package lend

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"thintree/thin/blockdev"
	"thintree/thin/dm"
	"thintree/thin/loop"
)

const (
	// scratchBytes is how much can be written over a device. Memory is taken only for what
	// is written, which is what a replayed journal changes.
	scratchBytes = 4 << 30
	// chunkSectors is the length of a copy-on-write chunk, in sectors of 512 bytes.
	chunkSectors = 8
)

// scratch activates a writable device over a lent one: see [Loan.Scratch].
func (l *Lender) scratch(ctx context.Context, device *os.File) (f *os.File, done func() error, err error) {
	under, err := deviceText(device)
	if err != nil {
		return nil, nil, err
	}
	length, err := device.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, nil, err
	}
	memory, err := memoryDisk(ctx, scratchBytes)
	if err != nil {
		return nil, nil, fmt.Errorf("memory to replay a journal in: %w", err)
	}
	defer memory.Close()
	n := memory.Number()
	return l.stack(ctx, []dm.Target{{
		Length: uint64(length) / blockdev.SectorBytes, Type: "snapshot",
		Params: fmt.Sprintf("%s %s N %d", under, blockdev.Text(n), chunkSectors),
	}}, false)
}

// memoryDisk is a loop device over memory, of a length in bytes. Memory is taken only for
// what is written.
func memoryDisk(ctx context.Context, length int64) (*loop.Device, error) {
	fd, err := unix.MemfdCreate("thintree-scratch", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	memory := os.NewFile(uintptr(fd), "scratch")
	defer memory.Close()
	if err := memory.Truncate(length); err != nil {
		return nil, err
	}
	return loop.Attach(ctx, fmt.Sprintf("/proc/self/fd/%d", fd), loop.Options{})
}
