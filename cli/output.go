package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// stdout is where every command prints, and the library its help.
var stdout = &output{file: os.Stdout}

// output keeps the first error of writing to a file, so that no command has to look
// for it: [Main] does, at the end. A pipe that nobody reads from ends the process by
// SIGPIPE, as it ends cat; a command that has to end in order gets EPIPE (see until).
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

// close closes the file, as some filesystems tell only then that it is full, and
// gives the first error of all.
func (o *output) close() error {
	o.keep(o.file.Close())
	return o.err
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
