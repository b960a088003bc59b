package lend

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"thintree/thin/dm"
	"thintree/thin/inuse"
)

// prefix begins the names of lent devices, and uuidPrefix their UUIDs. After it comes the
// process that they are lent to: its id, and in the UUID also when it began.
const (
	prefix     = inuse.LentPrefix
	uuidPrefix = "THINTREE-LENT-"
)

var count atomic.Uint64

// named calls activate with a name and a UUID of this process, again if they are taken.
func named[T any](owner func() (string, error), activate func(name, uuid string) (T, error)) (T, error) {
	var none T
	me, err := owner()
	if err != nil {
		return none, err
	}
	for {
		n := count.Add(1)
		got, err := activate(fmt.Sprint(mine(), n), fmt.Sprintf("%s%s-%d", uuidPrefix, me, n))
		if !errors.Is(err, dm.ErrExists) { // a process of this id in another namespace
			return got, err
		}
	}
}

// mine begins the names of devices lent to this process.
func mine() string { return fmt.Sprintf("%s%d-", prefix, os.Getpid()) }

// Owner identifies this process by its id and when it began.
func Owner() (string, error) {
	began, err := beginning(os.Getpid())
	return fmt.Sprintf("%d-%s", os.Getpid(), began), err
}

// lives reports whether the process that Owner identified still runs.
func lives(owner string) bool {
	var pid int
	if _, err := fmt.Sscanf(owner, "%d-", &pid); err != nil {
		return true // not an Owner: nothing of it is removed
	}
	began, err := beginning(pid)
	return err == nil && strings.HasPrefix(owner+"-", fmt.Sprintf("%d-%s-", pid, began))
}

// beginning is when a running process began, in clock ticks since the host's boot.
func beginning(pid int) (string, error) {
	path := fmt.Sprintf("/proc/%d/stat", pid)
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	// The program's name, in parentheses, may contain any characters.
	rest := string(text[bytes.LastIndexByte(text, ')')+1:])
	const field = 22 - 3 // proc(5)
	words := strings.Fields(rest)
	switch {
	case len(words) <= field:
		return "", fmt.Errorf("%s: not understood", path)
	case words[0] == "Z" || words[0] == "X": // it has ended, and its parent has not waited for it
		return "", os.ErrProcessDone
	}
	return words[field], nil
}
