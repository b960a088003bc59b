package guard

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"thintree/thin/dm"
)

// ready is what the guard says once it can do its work.
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
	watch(os.Stdin, func(name string) {
		client.Resume(context.Background(), name, dm.Unchanged)
	})
	os.Exit(0)
}

// watch reads what is held and released, and at the end resumes what still is
// held.
func watch(r io.Reader, resume func(name string)) {
	held := map[string]int{}
	for lines := bufio.NewScanner(r); lines.Scan(); {
		line := lines.Text()
		if line == "" {
			continue
		}
		switch name := line[1:]; line[:1] {
		case holds:
			held[name]++
		case releases:
			if held[name]--; held[name] <= 0 {
				delete(held, name)
			}
		}
	}
	for name := range held {
		resume(name)
	}
}
