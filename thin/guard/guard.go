package guard

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// environment makes a program the guard. It is all that the guard's environment
// has, and the guard starts nothing.
const environment = "THINTREE_GUARD"

// Guard is the guard of one process, which is started when it is first needed.
// Its methods may be called concurrently, but for Close.
type Guard struct {
	mu      sync.Mutex
	table   *os.File // guarded by mu: memory that the guard has too; nil before the first start
	slots   []bool   // guarded by mu: which of the table's are taken
	process *process // guarded by mu; nil where it was not started
}

// slotBytes is the length of a slot in the table: what to do at the end, and at
// least one zero. It divides a page, so that a slot is written whole or not at all.
const slotBytes = 2 * unix.DM_NAME_LEN

// What a slot begins with. A device's name follows, or a number and a pool's name.
const (
	resumes = "resume "
	deletes = "delete "
)

// New makes a Guard.
func New() *Guard { return &Guard{} }

// Hold has the device-mapper device of a name resumed if this process ends
// before release is called.
func (g *Guard) Hold(name string) (release func(), err error) { return g.hold(resumes, name) }

// HoldDevice has a device of a pool, by the name of the pool's own device, deleted
// if this process ends before release is called: as soon as nobody has it active.
func (g *Guard) HoldDevice(pool string, id uint32) (release func(), err error) {
	return g.hold(fmt.Sprintf("%s%d ", deletes, id), pool)
}

func (g *Guard) hold(what, name string) (release func(), err error) {
	if name == "" || len(name) >= unix.DM_NAME_LEN || strings.Contains(name, "\x00") {
		return nil, fmt.Errorf("guard: %q is no device's name", name)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.process == nil || !g.process.lives() {
		if err := g.start(); err != nil {
			return nil, fmt.Errorf("guard: %w", err)
		}
	}
	slot := slices.Index(g.slots, false)
	if slot < 0 {
		slot = len(g.slots)
		g.slots = append(g.slots, false)
	}
	if err := g.write(slot, what+name); err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	g.slots[slot] = true
	return func() { g.release(slot) }, nil
}

func (g *Guard) release(slot int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.write(slot, ""); err == nil {
		g.slots[slot] = false
	}
}

func (g *Guard) write(slot int, text string) error {
	_, err := g.table.WriteAt(append([]byte(text), make([]byte, slotBytes-len(text))...), int64(slot)*slotBytes)
	return err
}

// start starts a process, which sees what is held already.
func (g *Guard) start() (err error) {
	g.stop()
	if g.table == nil {
		fd, err := unix.MemfdCreate("thintree-guard", unix.MFD_CLOEXEC)
		if err != nil {
			return os.NewSyscallError("memfd_create", err)
		}
		g.table = os.NewFile(uintptr(fd), "guard's table")
	}
	g.process, err = startProcess(g.table)
	return err
}

// Close ends the guard's process, after it has resumed what is still held.
func (g *Guard) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stop()
	if g.table == nil {
		return nil
	}
	return g.table.Close()
}

func (g *Guard) stop() {
	if g.process != nil {
		g.process.end()
		g.process = nil
	}
}

// process is a guard that runs.
type process struct {
	pipe *os.File      // only this process has it: its end is this process's end
	gone chan struct{} // closed once it has ended
}

// startProcess starts one, and waits until it can do its work.
func startProcess(table *os.File) (*process, error) {
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
	program.ExtraFiles = []*os.File{table} // tableFD
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

// lives tells whether the guard is there: it alone has the pipe's other end.
func (p *process) lives() bool {
	fds := []unix.PollFd{{Fd: int32(p.pipe.Fd())}}
	_, err := unix.Poll(fds, 0)
	return err == nil && fds[0].Revents&unix.POLLERR == 0
}

func (p *process) end() {
	p.pipe.Close()
	<-p.gone
}
