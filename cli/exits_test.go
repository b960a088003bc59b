package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"thintree/tests/pools"
)

// claimedExits are the exit statuses that a command's help ends with.
func claimedExits(t *testing.T, command string) (claimed []int) {
	t.Helper()
	var help strings.Builder
	if status, stderr := program(t, &help, append(strings.Fields(command), "--help")...); status != statusDone {
		t.Fatalf("%s --help: exit status %d: %s", command, status, stderr)
	}
	_, section, ok := strings.Cut(help.String(), "\n\nEXIT STATUS:\n")
	if !ok {
		t.Fatalf("%s: the help has no exit statuses:\n%s", command, help.String())
	}
	for line := range strings.Lines(section) {
		words := regexp.MustCompile(`^   ([0-9])  \S.*\n$`).FindStringSubmatch(line)
		if words == nil {
			t.Fatalf("%s: the help does not end with exit statuses, but with %q", command, line)
		}
		status, _ := strconv.Atoi(words[1])
		claimed = append(claimed, status)
	}
	return claimed
}

// elsewhere stands for a command line that another test runs: one with FUSE or
// device-mapper.
func elsewhere(string) []string { return nil }

// exitsOf has a command line for each exit status of each command.
func exitsOf(t *testing.T) map[string][][]string {
	var (
		dir     = t.TempDir()
		good    = "docker:" + pools.Docker(t)
		missing = filepath.Join(dir, "missing")
		none    = "thintree-test-no-such-pool"
		// The data of this pool are cut off, so something in it cannot be read.
		half = filepath.Join(pools.Docker(t), "devicemapper/devicemapper/metadata") + "," + filepath.Join(dir, "half")
		bad  = "the name of no command"

		inPackageGuest = elsewhere("tests/guest: cli_test.go")
		partlyInGuest  = elsewhere("tests/guest: cli_partial_test.go")
		inPackageE2E   = elsewhere("tests/e2e: life_test.go, umount_test.go, wrong_test.go")
		isPrinted      = elsewhere("TestOutputThatCannotBeWrittenIsAFailure")
	)
	if err := os.WriteFile(filepath.Join(dir, "half"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string][][]string{
		"":           {{}, {"ls", missing}, {bad}, {"info", "--pool", half, good}},
		"help":       {{}, isPrinted, {bad}},
		"mount":      {inPackageE2E, {missing, dir}, {dir}},
		"umount":     {inPackageE2E, {dir}, {}},
		"sources":    {inPackageGuest, isPrinted, {bad}, inPackageGuest},
		"ls":         {{good}, {missing}, {}, {"--pool", half, good}},
		"info":       {{good}, {missing}, {}, {"--pool", half, good}},
		"cat":        {{good, "container:ran:/etc/passwd"}, {good, "base:/missing"}, {good}},
		"cp":         {{good, "container:ran:/etc/passwd", filepath.Join(dir, "passwd")}, {good, "base:/missing", dir}, {good}, inPackageE2E},
		"completion": {{"bash"}, isPrinted, {}},

		"pool":            {{}, isPrinted, {bad}},
		"pool create":     {inPackageGuest, {none, missing, missing}, {none}, partlyInGuest},
		"pool activate":   {inPackageGuest, {none, missing, missing}, {none}, partlyInGuest},
		"pool deactivate": {inPackageGuest, {none}, {}},
		"pool status":     {inPackageGuest, {none}, {"/"}, partlyInGuest},
		"pool grow":       {inPackageGuest, {none}, {}, partlyInGuest},
		"pool check":      {inPackageGuest, {missing}, {}},

		"volume":            {{}, isPrinted, {bad}},
		"volume create":     {inPackageGuest, {none, "7"}, {none}, partlyInGuest},
		"volume snapshot":   {inPackageGuest, {none, "7", "8"}, {none}, partlyInGuest},
		"volume delete":     {inPackageGuest, {none, "7"}, {none}},
		"volume activate":   {inPackageGuest, {none, "7", "seven", "--size", "1M"}, {none}, partlyInGuest},
		"volume deactivate": {inPackageGuest, {none, "7"}, {none}},
		"volume suspend":    {inPackageGuest, {none, "7"}, {none}},
		"volume resume":     {inPackageGuest, {none, "7"}, {none}},
		"volume mount":      {inPackageGuest, {"store:" + missing, "web", dir}, {none}},
		"volume unmount":    {inPackageGuest, {"store:" + missing, "web"}, {none}},
		"volume trim":       {inPackageGuest, {none, "7"}, {none}},
		"volume ls":         {inPackageGuest, {none}, {}, partlyInGuest},
	}
}

func TestHelpOfEachCommandEndsWithItsExitStatuses(t *testing.T) {
	t.Parallel()
	all := exitsOf(t)
	for _, command := range append(commandNames("", newApp().Commands), "", "help") {
		lines, known := all[command]
		if !known {
			t.Errorf("%q: exitsOf has no entry for this command", command)
			continue
		}
		if command == "help" { // "help --help" prints the help of thintree
			continue
		}
		var want []int
		for status := range lines {
			want = append(want, status)
		}
		if got := claimedExits(t, command); !slices.Equal(got, want) {
			t.Errorf("%q: the help claims the exit statuses %v, want %v", command, got, want)
		}
	}
}

func TestCommandsEndWithTheExitStatusesOfTheirHelp(t *testing.T) {
	t.Parallel()
	for command, lines := range exitsOf(t) {
		for want, args := range lines {
			if args == nil {
				continue
			}
			var out strings.Builder
			if status, stderr := program(t, &out, slices.Concat(strings.Fields(command), args)...); status != want {
				t.Errorf("thintree %s %q: exit status %d, want %d: %s", command, args, status, want, stderr)
			}
		}
	}
}

// flagsOf are the flags of an app and of all its commands, by the command's name.
func flagsOf(app *cli.App) map[string][]cli.Flag {
	all := map[string][]cli.Flag{"": app.Flags}
	var add func(before string, commands []*cli.Command)
	add = func(before string, commands []*cli.Command) {
		for _, c := range commands {
			all[before+c.Name] = c.Flags
			add(before+c.Name+" ", c.Subcommands)
		}
	}
	add("", app.Commands)
	return all
}

func TestPlaceholdersOfFlagsNameTheirValues(t *testing.T) {
	t.Parallel()
	placeholder := regexp.MustCompile("`([^`]*)`")
	count := 0
	for command, flags := range flagsOf(newApp()) {
		for _, f := range flags {
			if !takesValue(f) {
				continue
			}
			count++
			words := placeholder.FindStringSubmatch(f.(cli.DocGenerationFlag).GetUsage())
			if words == nil || words[1] == "VALUE" || !regexp.MustCompile(`^([A-Z]|dm\.[A-Z]|\[\+\][A-Z])[A-Z,=…\[\]]*$`).MatchString(words[1]) {
				t.Errorf("%s --%s: the placeholder is %q", command, f.Names()[0], words)
			}
		}
	}
	if count < 20 {
		t.Errorf("%d flags with values", count)
	}
}
