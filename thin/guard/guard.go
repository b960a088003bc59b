package guard

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// environment makes a program the guard.
const environment = "THINTREE_GUARD"

// Guard is the guard of one process, which is started when it is first needed.
// Its methods may be called concurrently, but for Close.
type Guard struct {
	mu      sync.Mutex
	process *exec.Cmd // guarded by mu; nil where it does not run
	pipe    *os.File  // guarded by mu
}

// New makes a Guard.
func New() *Guard { return &Guard{} }

// Hold has the device-mapper device of a name resumed if this process ends
// before release is called.
func (g *Guard) Hold(name string) (release func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if strings.Contains(name, "\n") {
		return nil, fmt.Errorf("device name %q: a guard cannot be told of it", name)
	}
	err = g.tell(holds, name)
	if errors.Is(err, syscall.EPIPE) { // somebody has ended it
		g.stop()
		err = g.tell(holds, name)
	}
	if err != nil {
		return nil, err
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.tell(releases, name) // a guard that is gone resumes nothing
	}, nil
}

// What a line of the pipe begins with. A name follows.
const (
	holds    = "+"
	releases = "-"
)

func (g *Guard) tell(what, name string) error {
	if g.process == nil {
		if err := g.start(); err != nil {
			return fmt.Errorf("guard: %w", err)
		}
	}
	_, err := io.WriteString(g.pipe, what+name+"\n")
	return err
}

// start starts the process, and waits until it can do its work.
func (g *Guard) start() error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	program := exec.Command("/proc/self/exe")
	program.Args = []string{"thintree-guard"}
	program.Env = append(os.Environ(), environment+"=1")
	program.Dir = "/"
	program.Stdin = read
	// Of its own session, so that what a terminal sends to its user does not reach it.
	program.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := program.StdoutPipe()
	if err == nil {
		err = program.Start()
	}
	if err != nil {
		write.Close()
		return err
	}
	g.process, g.pipe = program, write
	answer, _ := bufio.NewReader(out).ReadString('\n')
	if answer != ready {
		g.stop()
		return fmt.Errorf("it did not start: %s", strings.TrimSpace(answer))
	}
	return nil
}

// Close ends the guard's process, after it has resumed what is still held.
func (g *Guard) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stop()
	return nil
}

func (g *Guard) stop() {
	if g.process == nil {
		return
	}
	g.pipe.Close()
	g.process.Wait()
	g.process = nil
}
