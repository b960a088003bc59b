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

// environment makes a program the guard. It is all that the guard's environment
// has, and the guard starts nothing.
const environment = "THINTREE_GUARD"

// Guard is the guard of one process, which is started when it is first needed.
// Its methods may be called concurrently, but for Close.
type Guard struct {
	mu      sync.Mutex
	held    map[string]int // guarded by mu: how often each name is held
	process *process       // guarded by mu; nil where it was not started
}

// New makes a Guard.
func New() *Guard { return &Guard{held: map[string]int{}} }

// Hold has the device-mapper device of a name resumed if this process ends
// before release is called.
func (g *Guard) Hold(name string) (release func(), err error) {
	if strings.Contains(name, "\n") {
		return nil, fmt.Errorf("device name %q: a guard cannot be told of it", name)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	err = syscall.EPIPE
	if g.process != nil {
		err = g.process.tell(holds, name)
	}
	if errors.Is(err, syscall.EPIPE) { // there is none, or somebody has ended it
		err = g.start(name)
	}
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	g.held[name]++
	return func() { g.release(name) }, nil
}

func (g *Guard) release(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held[name]--; g.held[name] == 0 {
		delete(g.held, name)
	}
	if g.process != nil {
		g.process.tell(releases, name) // one that has ended resumes nothing
	}
}

// start starts another process, and tells it what is held and a name beside.
func (g *Guard) start(name string) error {
	g.stop()
	p, err := startProcess()
	if err != nil {
		return err
	}
	g.process = p
	for held, times := range g.held {
		for range times {
			err = errors.Join(err, p.tell(holds, held))
		}
	}
	return errors.Join(err, p.tell(holds, name))
}

// Close ends the guard's process, after it has resumed what is still held.
func (g *Guard) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stop()
	return nil
}

func (g *Guard) stop() {
	if g.process != nil {
		g.process.end()
		g.process = nil
	}
}

// What a line of the pipe begins with. A name follows.
const (
	holds    = "+"
	releases = "-"
)

// process is a guard that runs.
type process struct {
	pipe *os.File      // only this process has it: its end is this process's end
	gone chan struct{} // closed once it has ended
}

// startProcess starts one, and waits until it can do its work.
func startProcess() (*process, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	program := exec.Command("/proc/self/exe")
	program.Args = []string{"thintree-guard"}
	program.Env = []string{environment + "=1"}
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
		return nil, err
	}
	answer, _ := bufio.NewReader(out).ReadString('\n')
	p := &process{pipe: write, gone: make(chan struct{})}
	go func() {
		program.Wait() // at once, so that no zombie stays where somebody ends it
		close(p.gone)
	}()
	if answer != ready {
		p.end()
		return nil, fmt.Errorf("it did not start: %s", strings.TrimSpace(answer))
	}
	return p, nil
}

// tell writes a line, which is short enough to be written whole or not at all.
// The error is EPIPE where the guard has ended.
func (p *process) tell(what, name string) error {
	_, err := io.WriteString(p.pipe, what+name+"\n")
	return err
}

func (p *process) end() {
	p.pipe.Close()
	<-p.gone
}
