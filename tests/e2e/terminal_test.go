package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"thintree/tests/pools"
)

// onTerminal runs a command with a terminal of a width as its standard output.
func onTerminal(t *testing.T, columns uint16, cmd *exec.Cmd) result {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	}
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stdout, cmd.Stderr = terminal, &stderr
	err = cmd.Start()
	terminal.Close()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(master)
	if err != nil && !errors.Is(err, syscall.EIO) { // the terminal is closed
		t.Error(err)
	}
	cmd.Wait() // how it ends is in its ProcessState
	return result{strings.ReplaceAll(string(text), "\r\n", "\n"), stderr.String(), cmd.ProcessState.ExitCode()}
}

// dockerTable is what ls prints of pools.Docker on a wide terminal.
const dockerTable = `NAME                   ID            SIZE     MAPPED   HOLDS  STATE
container:ran          ed481cbae34f  1.0 GiB  102 MiB  ext4   idle
container:stopped-web  d89cdbc0cd6d  1.0 GiB  102 MiB  ext4   idle
container:yy1          3d302c1317c9  1.0 GiB  51 MiB   ext4   idle
image:7ed50d726480     7142713d9533  1.0 GiB  102 MiB  ext4   idle
image:a942bd3ff65b     fac5adfcea06  1.0 GiB  102 MiB  ext4   idle
image:base:1           622ffbffe25c  1.0 GiB  51 MiB   ext4   idle
image:web:2            7142713d9533  1.0 GiB  102 MiB  ext4   idle
3d302c1317c9-init      @19           1.0 GiB  51 MiB   ext4   idle
base                   @1            1.0 GiB  49 MiB   ext4   idle
d89cdbc0cd6d-init      @11           1.0 GiB  102 MiB  ext4   idle
ed481cbae34f-init      @13           1.0 GiB  102 MiB  ext4   idle
`

func TestVolumesAreATableOnATerminal(t *testing.T) {
	t.Parallel()
	source := "docker:" + pools.Docker(t)
	for _, columns := range []uint16{0, 80} {
		if got := onTerminal(t, columns, command("ls", source)).must(t); got != dockerTable {
			t.Errorf("%d columns:\n%swant\n%s", columns, got, dockerTable)
		}
	}
	narrow := onTerminal(t, 64, command("ls", source)).must(t)
	for line := range strings.Lines(narrow) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 64 {
			t.Errorf("a line of %d characters on a terminal of 64:\n%s", n, narrow)
		}
	}
	if !strings.Contains(narrow, "\ncontainer…pped-web  d89cdbc0cd6d  ") {
		t.Errorf("64 columns:\n%s", narrow)
	}
}

// TestIDsOfTheTableNameTheirVolumes types each id of the table as a VOLUME.
func TestIDsOfTheTableNameTheirVolumes(t *testing.T) {
	t.Parallel()
	source := "docker:" + pools.Docker(t)
	for line := range strings.Lines(dockerTable[strings.Index(dockerTable, "\n")+1:]) {
		name, id := strings.Fields(line)[0], strings.Fields(line)[1]
		v := parse[struct {
			Name               string
			Containers, Images []string
		}](t, thintree(t, "info", "--json", source, id).must(t))
		kind, alias, _ := strings.Cut(name, ":")
		switch kind {
		case "container":
			if !slices.Contains(v.Containers, alias) {
				t.Errorf("%s is %+v, want %s", id, v, name)
			}
		case "image":
			if !slices.Contains(v.Images, alias) {
				t.Errorf("%s is %+v, want %s", id, v, name)
			}
		default:
			if !strings.HasPrefix(v.Name, strings.TrimSuffix(name, "-init")) || strings.HasSuffix(v.Name, "-init") != strings.HasSuffix(name, "-init") {
				t.Errorf("%s is %+v, want %s", id, v, name)
			}
		}
	}
}

// TestNamesAreOneALineWithoutATerminal is for scripts: full names, of volumes with
// problems too, and no others with a terminal beside.
func TestNamesAreOneALineWithoutATerminal(t *testing.T) {
	t.Parallel()
	source := "docker:" + pools.Docker(t)
	names := thintree(t, "ls", source).must(t)
	if lines := strings.Count(names, "\n"); lines != 10 || !regexp.MustCompile(`^([0-9a-f]{64}(-init)?\n|base\n)+$`).MatchString(names) {
		t.Errorf("%d lines:\n%s", lines, names)
	}
	for _, args := range [][]string{{"ls", "--long", source}, {"ls", "--json", source}, {"ls", source, "container:ran:/etc"}} {
		want := thintree(t, args...).must(t)
		if got := onTerminal(t, 80, command(args...)).must(t); got != want {
			t.Errorf("%q on a terminal:\n%swant\n%s", args, got, want)
		}
	}
}

// TestTableMarksDamagedVolumes has a record that names a device that the pool has not.
func TestTableMarksDamagedVolumes(t *testing.T) {
	t.Parallel()
	_, root := dockerCopy(t, "docker")
	editRecord(t, root, ranVolume, `"device_id":14`, `"device_id":99`)
	r := onTerminal(t, 80, command("ls", "docker:"+root))
	if r.status != 3 || !strings.Contains(r.stderr, "the pool has no device 99") || !regexp.MustCompile(`(?m)^container:ran .* problem$`).MatchString(r.stdout) {
		t.Errorf("exit status %d: %s%s", r.status, r.stdout, r.stderr)
	}
}
