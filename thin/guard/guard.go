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

// environment is the variable that makes a program the guard. The guard has no other, and
// it starts no programs.
const environment = "THINTREE_GUARD"

// Guard is the guard of this process. The first Hold starts the guard's process. The
// methods may be called concurrently, except Close.
type Guard struct {
	mu      sync.Mutex
	table   *os.File // guarded by mu: memory shared with the guard's process; nil before its first start
	slots   []bool   // guarded by mu: which slots of the table are taken
	process *process // guarded by mu; nil if not started
}

// slotBytes is the length of a slot in the table: a text that says what to do, and at least
// one zero byte. It divides a page, so a slot is written whole or not at all.
const slotBytes = 2 * unix.DM_NAME_LEN

// A slot begins with one of these words. After resumes stands a device's name, after
// deletes a device id and a pool's name.
const (
	resumes = "resume "
	deletes = "delete "
)

// New makes a Guard.
func New() *Guard { return &Guard{} }

// Hold asks the guard to resume a device-mapper device if this process dies before it calls
// release.
func (g *Guard) Hold(name string) (release func(), err error) { return g.hold(resumes, name) }

// HoldDevice asks the guard to delete a thin device, once it is not active any more, if
// this process dies before it calls release. pool is the name of the pool's device-mapper
// device.
func (g *Guard) HoldDevice(pool string, id uint32) (release func(), err error) {
	return g.hold(fmt.Sprintf("%s%d ", deletes, id), pool)
}

func (g *Guard) hold(what, name string) (release func(), err error) {
	if name == "" || len(name) >= unix.DM_NAME_LEN || strings.Contains(name, "\x00") {
		return nil, fmt.Errorf("guard: %q is not a device's name", name)
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

// start starts the guard's process, which reads the existing table.
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

// Close ends the guard's process, which first cleans up what is still held.
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

// process is a running guard.
type process struct {
	pipe *os.File      // the writing end, which only this process has: the pipe ends with this process
	gone chan struct{} // closed once the guard has ended
}

// startProcess starts a guard, and waits until it is ready.
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
	// In a session of its own, so that no signal of a terminal (such as Ctrl-C) reaches it.
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
		program.Wait() // at once, so that a guard that is killed leaves no zombie
		close(p.gone)
	}()
	if answer != ready {
		p.end()
		return nil, fmt.Errorf("it did not start: %s", strings.TrimSpace(answer))
	}
	return p, nil
}

// lives reports whether the guard still runs: only it has the reading end of the pipe.
func (p *process) lives() bool {
	fds := []unix.PollFd{{Fd: int32(p.pipe.Fd())}}
	_, err := unix.Poll(fds, 0)
	return err == nil && fds[0].Revents&unix.POLLERR == 0
}

func (p *process) end() {
	p.pipe.Close()
	<-p.gone
}
