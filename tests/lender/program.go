package lender

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
)

// Build builds the program serve in a folder, and gives its path.
func Build(dir string) (program string, err error) {
	program = filepath.Join(dir, "serve")
	if out, err := exec.Command("go", "build", "-o", program, "thintree/tests/lender/serve").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building serve: %w: %s", err, out)
	}
	return program, nil
}

// Served is a tree that serve has mounted.
type Served struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

// Serve runs serve, which logs to log, and returns when its tree is mounted.
func Serve(program string, log io.Writer, args ...string) (*Served, error) {
	s := &Served{cmd: exec.Command(program, args...)}
	s.cmd.Stderr = log
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	s.stdin = stdin
	ready, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := bufio.NewReader(ready).ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("serve ended: %w", err), s.Close())
	}
	return s, nil
}

// Close makes the program unmount the tree, and waits until the program ends. It ends when all
// open files of the tree are closed.
func (s *Served) Close() error {
	return errors.Join(s.stdin.Close(), s.cmd.Wait())
}
