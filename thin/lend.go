package thin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"thintree/thin/block"
	"thintree/thin/dm"
	"thintree/thin/loop"
)

// lentPrefix begins the names of devices that were lent, which no other program
// gives. In their UUIDs follows the process that has them: its id and when it
// began.
const lentPrefix = block.LentPrefix

var lentCount atomic.Uint64

// Lend activates a device read-only for this process, and opens it. It has a name
// that nobody else uses, udev is kept away from it, and it goes by itself when
// the file is closed and what was mounted from it is unmounted, also where the
// process is killed. What somebody writes to the same device meanwhile, through
// another activation, need not be seen: see [Pool.Active].
func (p *Pool) Lend(ctx context.Context, id uint32, sizeBytes int64) (*os.File, error) {
	d, err := p.activateLent(ctx, id, sizeBytes)
	if err != nil {
		return nil, err
	}
	return p.kernel.leave(ctx, d.Name, d.Number)
}

func (p *Pool) activateLent(ctx context.Context, id uint32, sizeBytes int64) (Device, error) {
	return asLent(func(name, uuid string) (Device, error) {
		return p.ActivateDevice(ctx, Activation{
			Name: name, UUID: uuid, ID: id, SizeBytes: sizeBytes, ReadOnly: true, Udev: dm.Hidden,
		})
	})
}

// LendPool activates a pool that is not active, for this process and so that
// nothing in it can be changed, as [Pool.Lend] does a device: it goes when the
// file is closed and no device of it is active.
func (k *Kernel) LendPool(ctx context.Context, metadata, data string) (*Pool, io.Closer, error) {
	p, err := asLent(func(name, uuid string) (*Pool, error) {
		return k.ActivatePool(ctx, PoolConfig{
			Name: name, UUID: uuid, Metadata: metadata, Data: data, Features: Features{ReadOnly: true},
		})
	})
	if err != nil {
		return nil, nil, err
	}
	f, err := k.leave(ctx, p.name, p.number)
	return p, f, err
}

// leave opens an active device, and has it go with its last user.
func (k *Kernel) leave(ctx context.Context, name string, number uint64) (*os.File, error) {
	f, err := os.Open(dm.NodePath(number))
	// Where it could not be opened it goes now.
	_, removeErr := k.RemoveDevice(context.WithoutCancel(ctx), name, true, dm.Hidden)
	if err := errors.Join(err, removeErr); err != nil {
		if f != nil {
			f.Close()
		}
		return nil, err
	}
	return f, nil
}

// asLent activates something under a name and a UUID that are this process's.
func asLent[T any](activate func(name, uuid string) (T, error)) (T, error) {
	var none T
	owner, err := self()
	if err != nil {
		return none, err
	}
	for {
		n := lentCount.Add(1)
		got, err := activate(fmt.Sprintf("%s%d-%d", lentPrefix, os.Getpid(), n), fmt.Sprintf("%s%s-%d", lentUUID, owner, n))
		if !errors.Is(err, dm.ErrExists) { // a process of this id in another namespace
			return got, err
		}
	}
}

const lentUUID = "THINTREE-LENT-"

// self is this process: its id, and when it began.
func self() (string, error) {
	began, err := beginning(os.Getpid())
	return fmt.Sprintf("%d-%s", os.Getpid(), began), err
}

// beginning is when a process began, in ticks since the host did.
func beginning(pid int) (string, error) {
	path := fmt.Sprintf("/proc/%d/stat", pid)
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	// The program's name, in parentheses, may hold anything.
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
	const field = 22 - 3 // proc(5)
	words := strings.Fields(rest)
	if len(words) <= field {
		return "", fmt.Errorf("%s: not understood", path)
	}
	return words[field], nil
}

// SweepLent removes devices that were lent to processes that have been killed
// before they were left to go by themselves.
func (k *Kernel) SweepLent(ctx context.Context) error {
	list, err := k.dm.List(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range list {
		if !strings.HasPrefix(d.Name, lentPrefix) {
			continue
		}
		info, err := k.dm.Info(ctx, d.Name)
		if errors.Is(err, dm.ErrNotFound) {
			continue
		}
		if err == nil && info.OpenCount == 0 && !lives(info.UUID) {
			_, err = k.RemoveDevice(ctx, d.Name, true, dm.Hidden)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// lives tells whether the process that a lent device's UUID names is there.
func lives(uuid string) bool {
	owner, ok := strings.CutPrefix(uuid, lentUUID)
	var pid int
	if _, err := fmt.Sscanf(owner, "%d-", &pid); !ok || err != nil {
		return true // not ours to remove
	}
	began, err := beginning(pid)
	return err == nil && strings.HasPrefix(owner, fmt.Sprintf("%d-%s-", pid, began))
}

// ErrNotActive says that a pool is not active in the kernel.
var ErrNotActive = errors.New("the pool is not active")

// FindPool finds the active pool that has its metadata in the file or block
// device at path, whatever its name. The error is [ErrNotActive] where there is
// none.
func (k *Kernel) FindPool(ctx context.Context, metadata string) (*Pool, error) {
	devices, err := blockDevices(metadata)
	if err != nil {
		return nil, err
	}
	for _, number := range devices {
		holders, err := filepath.Glob("/sys/dev/block/" + deviceText(number) + "/holders/*/dm/name")
		if err != nil {
			return nil, err
		}
		for _, file := range holders {
			name, err := os.ReadFile(file)
			if err != nil {
				continue // it went meanwhile
			}
			p, t, err := k.findPool(ctx, strings.TrimSuffix(string(name), "\n"))
			if err == nil && t.metadata == number {
				return p, nil
			}
		}
	}
	return nil, fmt.Errorf("%s: %w", metadata, ErrNotActive)
}

// blockDevices are the block device at path, or the loop devices over a file.
func blockDevices(path string) ([]uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		return []uint64{st.Rdev}, nil
	}
	over, err := loop.Over(path)
	numbers := make([]uint64, len(over))
	for i, l := range over {
		numbers[i] = l.Number
	}
	if len(over) > 0 {
		err = nil // of loop devices that could not be asked
	}
	return numbers, err
}
