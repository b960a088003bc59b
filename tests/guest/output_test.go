package guest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestCommandsWhoseOutputIsLostEndInOrder runs each command on active pools that
// prints: into a device that is full, and into a pipe that nobody reads from. They
// fail, and leave nothing behind that they do not leave otherwise.
func TestCommandsWhoseOutputIsLostEndInOrder(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		dir := mounted(t, loop(t, filepath.Join(t.TempDir(), "disk"), 256*mib))
		before := hostState(t)
		store := "store:" + filepath.Join(dir, "store")
		full := must(os.OpenFile("/dev/full", os.O_WRONLY, 0))
		defer full.Close()
		r, closed, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		defer closed.Close()

		into := func(out *os.File, why string, args ...string) {
			t.Helper()
			cmd := exec.Command("/proc/self/exe", args...)
			cmd.Args[0] = "thintree"
			cmd.Env = append(os.Environ(), asProgram+"=1")
			var stderr strings.Builder
			cmd.Stdout, cmd.Stderr = out, &stderr
			cmd.Run()
			if cmd.ProcessState.ExitCode() != 1 || stderr.String() != "thintree: standard output: "+why+"\n" {
				t.Errorf("thintree %q: %v: %s", args, cmd.ProcessState, stderr.String())
			}
		}
		both := func(args ...string) {
			t.Helper()
			into(full, syscall.ENOSPC.Error(), args...)
			into(closed, syscall.EPIPE.Error(), args...)
		}
		into(closed, syscall.EPIPE.Error(), "pool", "create", store, "--opt", "dm.basesize=32M", "--opt", "dm.loopdatasize=64M", "--opt", "dm.loopmetadatasize=2M")
		if now := hostState(t); now != before {
			t.Errorf("a store that nobody uses has left\n%s", now)
		}
		both("pool", "status", store)
		both("pool", "status", "--json", store)
		both("pool", "grow", store, "--data-size", "+1M")
		both("volume", "ls", store)
		both("volume", "ls", "--json", store)
		into(full, syscall.ENOSPC.Error(), "volume", "create", store, "web")
		into(closed, syscall.EPIPE.Error(), "volume", "snapshot", store, "web", "monday")
		into(full, syscall.ENOSPC.Error(), "volume", "snapshot", "--json", store, "web", "tuesday")
		both("volume", "trim", store, "web")
		if now := hostState(t); now != before {
			t.Errorf("the host was\n%s\nand is\n%s", before, now)
		}
		both("pool", "activate", store)
		both("volume", "activate", store, "web")
		both("volume", "activate", "--json", store, "web")
		both("pool", "status")
		into(full, syscall.ENOSPC.Error(), "pool", "status", "--generate-bash-completion")
		tell(t, "pool", "deactivate", "--yes", store)
		both("pool", "check", filepath.Join(dir, "store/devicemapper/metadata"))
	})
}
