package dmtest

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"thintree/thin/blockdev"
	"thintree/thin/dm"
)

// Sequence is a list of commands for [Host.Run]. A command is a line that begins with "> ";
// below it stands what the kernel of the tests' guest answered.
//
//go:embed sequence.txt
var Sequence string

// Host runs a sequence on a device-mapper.
type Host struct {
	Client *dm.Client
	// Disks are the numbers, as unix.Mkdev makes them, of block devices for a pool, by
	// their names in the sequence. M and M2 have 8192 sectors of zeros, D has 131072.
	Disks map[string]uint64
	// Write writes to a range of a device's blocks of 128 sectors.
	Write func(name string, first, blocks uint64) error
	// Open opens a device until close is called.
	Open func(name string) (close func() error, err error)
	// Settle waits until a removal in the background is done, after a deferred removal or a
	// close.
	Settle func()
}

// Run runs the commands of a sequence, and returns the sequence with the answers.
func (h Host) Run(ctx context.Context, sequence string) string {
	var out strings.Builder
	opened := map[string]func() error{}
	for lines := bufio.NewScanner(strings.NewReader(sequence)); lines.Scan(); {
		command, ok := strings.CutPrefix(lines.Text(), "> ")
		if !ok {
			if strings.HasPrefix(lines.Text(), "#") {
				fmt.Fprintln(&out, lines.Text())
			}
			continue
		}
		fmt.Fprintln(&out, lines.Text())
		answer, err := h.step(ctx, strings.Fields(command), opened)
		if err != nil {
			answer = what(err)
		}
		if answer != "" {
			fmt.Fprintln(&out, answer)
		}
	}
	return out.String()
}

// what is an error as the sequence shows it: the errno.
func what(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

func (h Host) step(ctx context.Context, words []string, opened map[string]func() error) (answer string, err error) {
	if len(words) < 2 {
		return "", fmt.Errorf("command %q: too short", words)
	}
	c, name, args := h.Client, words[1], words[2:]
	switch words[0] {
	case "create":
		_, err = c.Create(ctx, name, strings.Join(args, ""))
	case "load":
		err = h.load(ctx, name, args)
	case "resume":
		_, err = c.Resume(ctx, name, dm.Unchanged)
	case "suspend":
		err = c.Suspend(ctx, name, dm.SuspendOptions{})
	case "clear":
		err = c.Clear(ctx, name)
	case "rename":
		err = c.Rename(ctx, name, args[0], dm.Unchanged)
	case "remove":
		_, err = c.Remove(ctx, name, false, dm.Unchanged)
	case "defer":
		var info dm.Info
		if info, err = c.Remove(ctx, name, true, dm.Unchanged); info.DeferredRemoval {
			answer = "deferred"
		}
		h.Settle()
	case "cancel":
		err = c.CancelDeferred(ctx, name)
	case "message":
		_, answer, err = c.Message(ctx, name, 0, strings.Join(args, " "))
	case "open":
		if opened[name], err = h.Open(name); err != nil {
			return "failed", nil // whether the node or the device is missing
		}
	case "close":
		err = opened[name]()
		h.Settle()
	case "write":
		var at [2]uint64
		for i := range at {
			at[i], _ = strconv.ParseUint(args[i], 10, 64)
		}
		if err = h.Write(name, at[0], at[1]); err != nil {
			return "failed", nil // the errno depends on the page cache
		}
	default:
		answer, err = h.ask(ctx, words[0], name)
	}
	return answer, err
}

// load loads a table. words are optionally "ro", and targets separated by semicolons. Disks
// are written by name, device-mapper devices as dm:MINOR.
func (h Host) load(ctx context.Context, name string, words []string) error {
	readOnly := len(words) > 0 && words[0] == "ro"
	if readOnly {
		words = words[1:]
	}
	var table []dm.Target
	for text := range strings.SplitSeq(strings.Join(words, " "), " ; ") {
		w := strings.Fields(text)
		if len(w) < 3 {
			return h.Client.Load(ctx, name, nil, readOnly)
		}
		t := dm.Target{Type: w[2]}
		t.Start, _ = strconv.ParseUint(w[0], 10, 64)
		t.Length, _ = strconv.ParseUint(w[1], 10, 64)
		for i, word := range w[3:] {
			w[3+i] = h.number(word)
		}
		t.Params = strings.Join(w[3:], " ")
		table = append(table, t)
	}
	return h.Client.Load(ctx, name, table, readOnly)
}

// number replaces a device's name in the sequence by its number; it returns other words as
// they are.
func (h Host) number(word string) string {
	if number, ok := h.Disks[word]; ok {
		return blockdev.Text(number)
	}
	if minor, ok := strings.CutPrefix(word, "dm:"); ok {
		return strconv.Itoa(Major) + ":" + minor
	}
	return word
}

// named is the name of a device in the sequence.
func (h Host) named(number uint64) string {
	for name, n := range h.Disks {
		if n == number {
			return name
		}
	}
	if unix.Major(number) == Major {
		return fmt.Sprintf("dm:%d", unix.Minor(number))
	}
	return blockdev.Text(number)
}

func (h Host) ask(ctx context.Context, command, name string) (string, error) {
	switch command {
	case "info":
		info, err := h.Client.Info(ctx, name)
		return h.infoText(info), err
	case "status":
		_, targets, err := h.Client.Status(ctx, name)
		return h.targetsText(targets), err
	case "table":
		_, targets, err := h.Client.Table(ctx, name)
		return h.targetsText(targets), err
	case "deps":
		numbers, err := h.Client.Deps(ctx, name)
		var names []string
		for _, n := range numbers {
			names = append(names, h.named(n))
		}
		return strings.Join(names, " "), err
	case "list":
		listed, err := h.Client.List(ctx)
		var names []string
		for _, l := range listed {
			names = append(names, h.named(l.Number)+"="+l.Name)
		}
		return strings.Join(names, " "), err
	}
	return "", fmt.Errorf("command %q: unknown", command)
}

func (h Host) infoText(i dm.Info) string {
	words := []string{i.Name, h.named(i.Number)}
	if i.UUID != "" {
		words = append(words, "uuid="+i.UUID)
	}
	words = append(words, fmt.Sprintf("open=%d event=%d targets=%d", i.OpenCount, i.EventNr, i.Targets))
	for _, f := range []struct {
		is   bool
		word string
	}{{i.Suspended, "suspended"}, {i.ReadOnly, "readonly"}, {i.Active, "active"}, {i.Inactive, "inactive"}, {i.DeferredRemoval, "deferred"}} {
		if f.is {
			words = append(words, f.word)
		}
	}
	return strings.Join(words, " ")
}

var (
	numberWord = regexp.MustCompile(`\b\d+:\d+\b`)
	// poolUse matches the number of used metadata blocks, and the block of the metadata
	// snapshot, in a pool's status. Both may differ from the kernel's.
	poolUse = regexp.MustCompile(`(thin-pool \d+ )\d+(/\d+ \d+/\d+ )(\d+|-)`)
)

func (h Host) targetsText(targets []dm.Target) string {
	var lines []string
	for _, t := range targets {
		line := numberWord.ReplaceAllStringFunc(t.String(), func(text string) string {
			var major, minor uint32
			fmt.Sscanf(text, "%d:%d", &major, &minor)
			return h.named(unix.Mkdev(major, minor))
		})
		line = poolUse.ReplaceAllStringFunc(line, func(text string) string {
			m := poolUse.FindStringSubmatch(text)
			if m[3] != "-" {
				m[3] = "held"
			}
			return m[1] + "…" + m[2] + m[3]
		})
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return strings.Join(lines, "\n")
}
