// Demo shows thintree's main job on real pools that the repository carries: a
// Docker root with the devicemapper driver is mounted, toured, idles out and is
// unmounted; then a disk with LVM on it is looked into. KEEP=1 leaves the Docker root mounted
// to play with.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"thintree/tests/pools"
)

func main() {
	if err := run(os.Getenv("KEEP") != ""); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// tour is a shell in a folder that holds docker/, a Docker root, and mnt/.
type tour struct {
	dir    string
	env    []string
	failed error // of the first command that failed
}

func (t *tour) say(text string) { fmt.Printf("\n# %s\n", text) }

// show prints commands and what they print.
func (t *tour) show(commands ...string) {
	for _, command := range commands {
		if t.failed != nil {
			return
		}
		fmt.Println("$", command)
		cmd := t.command(command)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
		// diff says by its status that it found what it was asked for.
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1 && strings.HasPrefix(command, "diff")) {
			t.failed = fmt.Errorf("%s: %w", command, err)
		}
	}
}

func (t *tour) command(command string) *exec.Cmd {
	cmd := exec.Command("bash", "-c", command)
	cmd.Dir, cmd.Env = t.dir, t.env
	return cmd
}

// mounted reports whether the tree is still there.
func (t *tour) mounted() bool {
	mounts, err := os.ReadFile("/proc/self/mounts")
	return err == nil && strings.Contains(string(mounts), " "+t.dir+"/mnt ")
}

// waitIdle waits until no volume is open.
func (t *tour) waitIdle() error {
	for range 100 {
		text, err := os.ReadFile(filepath.Join(t.dir, "mnt/pools/pool.json"))
		if err != nil {
			return err
		}
		var pool struct {
			Open int `json:"open_volumes"`
		}
		if err := json.Unmarshal(text, &pool); err != nil {
			return err
		}
		if pool.Open == 0 {
			return nil
		}
		time.Sleep(200 * time.Millisecond)
	}
	return errors.New("volumes stay open after the idle time")
}

func run(keep bool) (err error) {
	dir, err := os.MkdirTemp("", "thintree-demo-")
	if err != nil {
		return err
	}
	bin := filepath.Join(dir, "bin")
	t := &tour{dir: dir, env: append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "LC_ALL=C")}
	defer func() {
		if keep && err == nil {
			return
		}
		if t.mounted() {
			err = errors.Join(err, t.command("thintree umount --lazy mnt").Run())
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "thintree"), "thintree").CombinedOutput(); err != nil {
		return fmt.Errorf("building thintree: %w: %s", err, out)
	}
	for _, name := range []string{"docker-ext4", "lvm-disk"} {
		if err := pools.Unpack(dir, name); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "mnt"), 0o755); err != nil {
		return err
	}
	before, err := pools.Hash(filepath.Join(dir, "docker"))
	if err != nil {
		return err
	}

	t.say("docker/ is /var/lib/docker of a host with the devicemapper driver, as Docker 20.10 left it. Its volumes:")
	t.show("thintree ls --long docker:docker")
	t.say("Mount them all. Nothing is activated, no root and no device-mapper is needed:")
	t.show("thintree mount --idle 2s docker:docker mnt", "ls mnt", "ls -l mnt/containers mnt/images")
	t.say("So far no volume was opened:")
	t.show("grep -E 'open_volumes|opens_total' mnt/pools/pool.json")
	t.say("Walk into a container that was created and never started:")
	t.show("ls -l mnt/containers/yy1/", "cat mnt/containers/yy1/etc/hostname mnt/images/web:2/app/*.txt | head -3")
	t.show("grep -E 'open_volumes|opens_total' mnt/pools/pool.json")
	t.say("What did a container change in its image?")
	t.show("diff -rq --no-dereference mnt/images/web:2/ mnt/containers/ran/")
	t.say("A volume's bytes are there too, with its holes, and what is known of it:")
	t.show("du -h --apparent-size mnt/raw/base.img; du -h mnt/raw/base.img", "head -12 mnt/info/base.json")
	if t.failed != nil {
		return t.failed
	}
	if keep {
		fmt.Printf("\nIt stays mounted at %s/mnt. When you have seen enough:\n  thintree umount %s/mnt && rm -r %s    (thintree is %s/thintree)\n", dir, dir, dir, bin)
		return nil
	}
	t.say("Nobody has used them for two seconds, so they are closed again:")
	if err := t.waitIdle(); err != nil {
		return err
	}
	t.show("grep -E 'open_volumes|opens_total' mnt/pools/pool.json", "thintree umount mnt", "ls -A mnt")
	if t.failed != nil {
		return t.failed
	}
	t.say("disk.img is a disk with LVM on it: snapshots that nobody activated, and a virtual machine's disk. Without a mount:")
	t.show("thintree ls --long lvm:./disk.img", "thintree ls lvm:./disk.img vg0/root-snap1:/", "thintree ls lvm:./disk.img vg0/vm-100-disk-0:/p2")
	if t.failed != nil {
		return t.failed
	}
	after, err := pools.Hash(filepath.Join(dir, "docker"))
	if err != nil {
		return err
	}
	if after != before {
		return errors.New("the Docker root has changed")
	}
	t.say("Every byte, mode and time below docker/ is as it was (" + after[:16] + "…).")
	return nil
}
