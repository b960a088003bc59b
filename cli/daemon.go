package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"os/exec"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// daemonEnv is set in the daemon, the process that serves a tree in the background. It is
// the same program with the same arguments, in a session of its own. It writes to a pipe
// when the tree can be used. Until then it has the command's standard error, so the caller
// sees a failure, which ends both processes.
const daemonEnv = "THINTREE_DAEMON"

// readyFD is the daemon's end of the pipe.
const readyFD = 3

func isDaemon() bool { return os.Getenv(daemonEnv) != "" }

// startDaemon starts the daemon and waits until the tree can be used.
func startDaemon() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), daemonEnv+"=1")
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("starting in the background: %w", err)
	}
	if n, _ := r.Read(make([]byte, 1)); n == 1 {
		return cmd.Process.Release()
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return reported{exit.ExitCode()}
	}
	return fmt.Errorf("the process in the background ended at once: %v", cmd.ProcessState)
}

// reported is a failure that the daemon has printed already.
type reported struct{ status int }

func (r reported) Error() string { return fmt.Sprintf("exit status %d", r.status) }

// daemonReady signals the command that the tree can be used. It also leaves the command's
// folder and closes its standard files, so that the daemon keeps neither busy.
func daemonReady() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	if err := os.Chdir("/"); err != nil {
		return err
	}
	pipe := os.NewFile(readyFD, "ready")
	defer pipe.Close()
	if _, err := pipe.Write([]byte{1}); err != nil {
		return fmt.Errorf("reporting that the tree can be used: %w", err)
	}
	for fd := range 3 {
		if err := unix.Dup3(int(null.Fd()), fd, 0); err != nil {
			return err
		}
	}
	return nil
}

// openLog opens the log that --log-file and --log-level ask for. seen reports whether its
// warnings go to standard error, where the caller of the command sees them.
func openLog(c *cli.Context) (log *slog.Logger, seen bool, err error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		return nil, false, wrongUse("--log-level %s: debug, info, warn and error are known", c.String("log-level"))
	}
	o := &slog.HandlerOptions{Level: level}
	if path := c.String("log-file"); path != "" {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, false, fmt.Errorf("--log-file: %w", err)
		}
		return slog.New(slog.NewTextHandler(f, o)), false, nil
	}
	if !isDaemon() {
		return slog.New(slog.NewTextHandler(os.Stderr, o)), level <= slog.LevelWarn, nil
	}
	w, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_INFO, "thintree")
	if err != nil {
		// There is no system log. The caller of the command sees the warnings of the start;
		// later ones are lost, unless --log-file is given.
		o.Level = max(level, slog.LevelWarn)
		return slog.New(slog.NewTextHandler(os.Stderr, o)), level <= slog.LevelWarn, nil
	}
	return slog.New(slog.NewTextHandler(io.Writer(w), o)), false, nil
}
