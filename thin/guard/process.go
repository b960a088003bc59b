package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"thintree/thin/dm"
)

// ready is the guard's answer once it can do its work.
const ready = "ready\n"

func init() {
	if os.Getenv(environment) == "" {
		return
	}
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
	client, err := dm.Open()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Print(ready)
	io.Copy(io.Discard, os.Stdin) // until the guarded process ends
	undo(held(os.NewFile(tableFD, "table")), client)
	os.Exit(0)
}

// tableFD is the guard's descriptor of the table.
const tableFD = 3

// held returns the texts of the slots that are taken.
func held(table io.ReaderAt) (texts []string) {
	slot := make([]byte, slotBytes)
	for at := int64(0); ; at += slotBytes {
		if _, err := table.ReadAt(slot, at); err != nil {
			return texts
		}
		if text, _, _ := bytes.Cut(slot, []byte{0}); len(text) > 0 {
			texts = append(texts, string(text))
		}
	}
}

// undoer is the part of dm.Client that the guard uses.
type undoer interface {
	Resume(ctx context.Context, name string, u dm.Udev) (dm.Info, error)
	Message(ctx context.Context, name string, sector uint64, message string) (dm.Info, string, error)
}

// undo does what the texts say. It resumes devices first, because others may wait for them.
func undo(held []string, client undoer) {
	ctx := context.Background()
	for _, text := range held {
		if name, ok := strings.CutPrefix(text, resumes); ok {
			client.Resume(ctx, name, dm.Unchanged)
		}
	}
	for _, text := range held {
		if what, ok := strings.CutPrefix(text, deletes); ok {
			id, pool, _ := strings.Cut(what, " ")
			remove(ctx, client, pool, id)
		}
	}
}

// remove deletes a device of a pool. The kernel may take a moment to close what the dead
// process had open.
func remove(ctx context.Context, client undoer, pool, id string) {
	const longest, pause = 30 * time.Second, 10 * time.Millisecond
	for until := time.Now().Add(longest); time.Now().Before(until); time.Sleep(pause) {
		if _, _, err := client.Message(ctx, pool, 0, "delete "+id); !errors.Is(err, syscall.EBUSY) {
			return
		}
	}
}
