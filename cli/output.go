package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/term"
)

// stdout is what every command prints to; the library prints help to it.
var stdout = &output{file: os.Stdout}

// output keeps the first error of writing to a file. [Main] reports it at the end, so
// no command needs to check for it. A closed pipe ends the process by SIGPIPE, as it
// ends cat; a command that has to end in order gets EPIPE (see until).
type output struct {
	file *os.File
	err  error
}

func (o *output) Write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.file.Write(p)
	o.keep(err)
	return n, o.err
}

// close closes the file and returns the first error, which may be one of an earlier write. Some
// filesystems report only at close that they are full.
func (o *output) close() error {
	o.keep(o.file.Close())
	return o.err
}

// isTerminal reports whether a person sees the output directly.
func (o *output) isTerminal() bool { return term.IsTerminal(int(o.file.Fd())) }

// columns is the width of the terminal in characters, or 0 if it is not known.
func (o *output) columns() int {
	width, _, err := term.GetSize(int(o.file.Fd()))
	if err != nil {
		return 0
	}
	return width
}

func (o *output) keep(err error) {
	if err == nil || o.err != nil {
		return
	}
	var of *fs.PathError // its path is the name of the descriptor
	if errors.As(err, &of) {
		err = of.Err
	}
	o.err = fmt.Errorf("standard output: %w", err)
}
