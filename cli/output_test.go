package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"thintree/tests/pools"
)

// self is the environment variable that says what the test binary is in place of the tests.
const self = "THINTREE_TEST_SELF"

const (
	asProgram = "thintree"
	asWriter  = "writer" // writesOn, as a command that ends in order
)

func TestMain(m *testing.M) {
	switch os.Getenv(self) {
	case asProgram:
		os.Exit(Main(os.Args))
	case asWriter:
		if err := until(writesOn)(cli.NewContext(newApp(), nil, nil)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// program runs the program with the given standard output, and returns its exit status and
// standard error.
func program(t *testing.T, stdout io.Writer, args ...string) (status int, stderr string) {
	t.Helper()
	return runSelf(t, asProgram, stdout, args...)
}

// runSelf runs the test binary as what it may be. The exit status is -1 if a signal ended it.
func runSelf(t *testing.T, as string, stdout io.Writer, args ...string) (status int, stderr string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = "thintree"
	cmd.Env = append(os.Environ(), self+"="+as)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = stdout, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s %q: %v", as, args, err)
	}
	return cmd.ProcessState.ExitCode(), said.String()
}

// printed has the arguments with which each command prints something. Commands on active pools
// need device-mapper: package guest tests them. Package layers checks that every command prints
// through the one writer.
func printed(source string) map[string][][]string {
	const volume, folder = "base", "container:ran:/etc"
	var kernel, nothing [][]string
	return map[string][][]string{
		"help": {{}, {"ls"}, {"pool"}},
		"ls": {
			{source}, {"--long", source}, {"--json", source},
			{source, folder}, {"--long", source, folder}, {"--json", source, folder},
			{source, "--generate-bash-completion"},
		},
		"info":        {{source}, {"--json", source}, {source, volume}, {"--json", source, volume}},
		"cat":         {{source, "container:ran:/etc/passwd"}, {source, "container:ran:/bin/busybox"}},
		"completion":  {{"bash"}, {"zsh"}, {"fish"}},
		"sources":     kernel,
		"mount":       nothing,
		"umount":      nothing,
		"cp":          nothing,
		"pool":        {{}},
		"pool create": kernel, "pool activate": kernel, "pool deactivate": nothing,
		"pool status": kernel, "pool grow": kernel, "pool check": kernel,
		"volume":        {{}},
		"volume create": kernel, "volume snapshot": kernel, "volume delete": nothing,
		"volume activate": kernel, "volume deactivate": nothing, "volume suspend": nothing, "volume resume": nothing,
		"volume mount": nothing, "volume unmount": nothing, "volume trim": kernel, "volume ls": kernel,
	}
}

// commandNames lists the names of all commands and their subcommands.
func commandNames(before string, commands []*cli.Command) (names []string) {
	for _, c := range commands {
		names = append(names, before+c.Name)
		names = append(names, commandNames(before+c.Name+" ", c.Subcommands)...)
	}
	return names
}

func TestOutputThatCannotBeWrittenIsAFailure(t *testing.T) {
	t.Parallel()
	forms := printed("docker:" + pools.Docker(t))
	lines := [][]string{{}, {"--help"}, {"--generate-bash-completion"}}
	for _, name := range commandNames("", newApp().Commands) {
		if _, known := forms[name]; !known {
			t.Errorf("%s: printed has no entry for this command", name)
		}
		lines = append(lines, append(strings.Fields(name), "--help"))
	}
	for name, all := range forms {
		for _, args := range all {
			lines = append(lines, slices.Concat(strings.Fields(name), args))
		}
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, args := range lines {
		var out strings.Builder
		if status, stderr := program(t, &out, args...); status != statusDone || stderr != "" || out.Len() == 0 {
			t.Errorf("thintree %q: exit status %d, %d bytes printed: %s", args, status, out.Len(), stderr)
		}
		status, stderr := program(t, full, args...)
		if status != statusFailed || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "standard output: no space left on device") {
			t.Errorf("thintree %q >/dev/full: exit status %d: %q", args, status, stderr)
		}
	}
}
