package guest

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"thintree/tests/manifest"
	"thintree/volfs"
)

// docker is dockerd with its devicemapper driver on loop files, and an image.
type docker struct {
	*daemon
	root   string
	docker string // the command
}

const dockerImage = "team/tiny:1"

func newDocker(t *testing.T, options ...string) *docker {
	t.Helper()
	needsPrograms(t, "dockerd", "docker", "containerd", "runc", "dmsetup", "losetup", "mkfs.ext4", "ldd")
	var major int
	if out := sh(t, "dockerd --version"); must(fmt.Sscanf(out, "Docker version %d.", &major)) == 1 && major >= 25 {
		t.Skipf("needs dockerd with the devicemapper driver, before version 25: %s", out)
	}
	forContainers(t)
	dir := mounted(t, loop(t, filepath.Join(t.TempDir(), "disk"), 600*mib))
	d := &docker{root: dir + "/root", docker: "docker -H unix://" + dir + "/socket "}
	write(t, dir, "daemon.json", `{"deprecated-key-path": "`+dir+`/key"}`) // not in /etc
	args := strings.Fields(strings.ReplaceAll(`dockerd --config-file DIR/daemon.json --host unix://DIR/socket --data-root DIR/root --exec-root DIR/exec
		--pidfile DIR/pid --iptables=false --ip-forward=false --ip-masq=false --bridge=none --storage-driver devicemapper`, "DIR", dir))
	for _, o := range append(options, "loopdatasize=300M", "loopmetadatasize=4M", "basesize=32M", "fs=ext4", "override_udev_sync_check=true") {
		args = append(args, "--storage-opt", "dm."+o)
	}
	d.daemon = runDaemon(t, d.docker+"version", args...)
	sh(t, fmt.Sprintf(`tar -C %s -c . | %simport --change 'CMD ["/bin/sh", "-c", "echo ran >/ran; rm /etc/link; sleep 1000"]' - %s`, shellRoot(t), d.docker, dockerImage))
	return d
}

// round makes two containers, one of which gets files, and removes them. Sometimes that one runs, and
// sometimes an image is made of it. mnt is the tree, "" if there is none.
func (d *docker) round(t *testing.T, p pace, n int, mnt string) {
	t.Helper()
	name, idle, image := fmt.Sprint("box-", n), fmt.Sprint("idle-", n), fmt.Sprint("team/made:", n)
	look := mnt != "" && n%5 == 0
	p.run(t, "create", d.docker+"create --name "+name+" "+dockerImage)
	p.run(t, "create", d.docker+"create --name "+idle+" "+dockerImage)
	if look && n == 0 {
		d.looks(t, mnt, idle)
	}
	dir := t.TempDir()
	sh(t, fmt.Sprintf("cd %s; mkdir etc; seq %d 20000 >etc/name; ln -s name added", dir, n))
	p.run(t, "cp", d.docker+"cp "+dir+"/. "+name+":/")
	if n%6 == 0 {
		p.run(t, "start", d.docker+"start "+name)
	}
	if look && n%6 == 0 {
		within(t, seconds, name+" has run", func() error {
			if diff := sh(t, d.docker+"diff "+name); !strings.Contains(diff, "A /ran") || !strings.Contains(diff, "D /etc/link") {
				return fmt.Errorf("it differs in %q", diff)
			}
			return nil
		})
		d.looks(t, mnt, name)
	}
	if n%6 == 0 {
		p.run(t, "kill", d.docker+"kill "+name)
	}
	if look {
		d.looks(t, mnt, name)
	}
	if n%5 == 0 {
		p.run(t, "commit", d.docker+"commit "+name+" "+image)
	}
	if look {
		// Of what Docker makes in each container an image gets nothing.
		made := []string{".dockerenv", "dev", "dev/console", "dev/pts", "dev/shm", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf", "proc", "sys"}
		files := slices.DeleteFunc(d.exported(t, name), func(e manifest.Entry) bool { return slices.Contains(made, e.Path) })
		sameFilesWithin(t, files, filepath.Join(mnt, "images", image))
	}
	p.run(t, "rm", d.docker+"rm "+name+" "+idle)
	if n%5 == 0 {
		p.run(t, "rmi", d.docker+"rmi "+image)
	}
	if look {
		shownWithin(t, filepath.Join(mnt, "containers", name), false)
		shownWithin(t, filepath.Join(mnt, "containers", idle), false)
		shownWithin(t, filepath.Join(mnt, "images", image), false)
	}
}

// looks holds what the tree shows of a container against what Docker says of it.
func (d *docker) looks(t *testing.T, mnt, name string) {
	t.Helper()
	container := filepath.Join(mnt, "containers", name)
	sameFilesWithin(t, d.exported(t, name), container)

	var inspected []struct {
		ID, Image, Path string
		Args            []string
		Created         time.Time
		State           struct {
			Status   string
			ExitCode int
		}
		GraphDriver struct{ Data struct{ DeviceName string } }
	}
	noError(t, json.Unmarshal([]byte(sh(t, d.docker+"inspect "+name)), &inspected))
	c := inspected[0]
	volume := c.GraphDriver.Data.DeviceName[strings.LastIndexByte(c.GraphDriver.Data.DeviceName, '-')+1:]
	status := c.State.Status
	if status == "exited" {
		status = fmt.Sprintf("exited (%d)", c.State.ExitCode)
	}
	want := fmt.Sprint(c.ID, " ", name, " ", c.Image, " ", status, " ", append([]string{c.Path}, c.Args...), " ", c.Created)
	within(t, seconds, "info of "+name+" is what Docker tells of it", func() error {
		text, err := os.ReadFile(filepath.Join(mnt, "info", volume+".json"))
		if err != nil {
			return err
		}
		var info struct {
			Records []struct {
				ID, Name, Image, Status string
				Command                 []string
				Created                 time.Time
			} `json:"container_records"`
		}
		if err := json.Unmarshal(text, &info); err != nil {
			return err
		}
		for _, r := range info.Records {
			if got := fmt.Sprint(r.ID, " ", r.Name, " ", r.Image, " ", r.Status, " ", r.Command, " ", r.Created); got != want {
				return fmt.Errorf("it is\n%s, not\n%s", got, want)
			}
		}
		if len(info.Records) != 1 {
			return fmt.Errorf("it has %d records", len(info.Records))
		}
		return nil
	})

	// A container is a snapshot of its init volume, and that is one of the image's.
	differs := changes(shown(t, filepath.Join(mnt, "volumes", volume+"-init/rootfs")), shown(t, container))
	diff := strings.Split(strings.TrimSpace(sh(t, d.docker+"diff "+name)), "\n")
	slices.Sort(diff)
	if !slices.Equal(differs, slices.DeleteFunc(diff, func(line string) bool { return line == "" })) {
		t.Errorf("what is shown of %s differs from its image in %q, and Docker says %q", name, differs, diff)
	}
}

// exported is what Docker exports of a container.
func (d *docker) exported(t *testing.T, name string) manifest.Manifest {
	t.Helper()
	dir := t.TempDir()
	sh(t, d.docker+"export "+name+" | tar -C "+dir+" -xp --numeric-owner")
	defer sh(t, "rm -r "+dir)
	return exportable(shown(t, dir))
}

// exportable is a manifest without what Docker does not export.
func exportable(m manifest.Manifest) manifest.Manifest {
	for i := range m {
		e := &m[i]
		e.Blocks, e.Ctime, e.Mtime, e.More = 0, volfs.Time{}, volfs.Time{}, nil
		if e.Mode&unix.S_IFMT == unix.S_IFDIR {
			e.Size, e.Nlink = 0, 0
		}
	}
	return m
}

// sameFilesWithin waits until a folder of the tree holds what was exported.
func sameFilesWithin(t *testing.T, want manifest.Manifest, dir string) {
	t.Helper()
	within(t, seconds, dir+" is shown as Docker exports it", func() error {
		got, err := manifest.OfDir(t.Context(), dir, manifest.Options{})
		if err != nil {
			return err
		}
		if diff := manifest.Diff(want, exportable(got)); diff != "" {
			return fmt.Errorf("%s", diff)
		}
		return nil
	})
}

// changes are what docker diff says of two folders, sorted: "A /path" of what was added, "D" of what was
// deleted, and "C" of what was changed and of folders in which something was.
func changes(before, after manifest.Manifest) (lines []string) {
	entries := func(m manifest.Manifest) map[string]manifest.Entry {
		all := make(map[string]manifest.Entry, len(m))
		for _, e := range m {
			all[e.Path] = e
		}
		return all
	}
	old, now := entries(before), entries(after)
	kinds := make(map[string]string)
	for p := range old {
		if _, ok := now[p]; !ok {
			kinds[p] = "D"
		}
	}
	for p, e := range now {
		was, ok := old[p]
		switch isDir := e.Mode&unix.S_IFMT == unix.S_IFDIR; {
		case !ok:
			kinds[p] = "A"
		case was.Mode != e.Mode, was.UID != e.UID, was.GID != e.GID, was.Rdev != e.Rdev,
			!isDir && (was.Size != e.Size || was.Mtime != e.Mtime || was.Content != e.Content):
			kinds[p] = "C"
		}
	}
	for p := range kinds {
		for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
			if kinds[dir] == "" {
				kinds[dir] = "C"
			}
		}
	}
	delete(kinds, ".")
	for p, kind := range kinds {
		lines = append(lines, kind+" /"+p)
	}
	slices.Sort(lines)
	return lines
}

func TestDockerBesideTheTree(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) { dockerBeside(t, newDocker(t), 15) })
}

// TestDockerThatDefersNothing has a Docker whose commands fail if a device is in use.
func TestDockerThatDefersNothing(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		d := newDocker(t, "use_deferred_removal=false", "use_deferred_deletion=false")
		if info := sh(t, d.docker+"info"); !strings.Contains(info, "Deferred Removal Enabled: false") {
			t.Fatalf("docker info says\n%s", info)
		}
		dockerBeside(t, d, 7)
	})
}

// dockerBeside runs rounds without the tree, and then more of them beside it.
func dockerBeside(t *testing.T, d *docker, rounds int) {
	t.Helper()
	alone, beside := make(pace), make(pace)
	for n := range 6 {
		d.round(t, alone, n, "")
	}
	noneIsActive(t)
	complaints := len(d.complaints(t))
	mnt := mountTree(t, "docker:"+d.root)
	image := filepath.Join(mnt, "images", dockerImage)
	halt := walkAlways(t, mnt, image)
	defer halt()
	for n := range rounds {
		d.round(t, beside, n, mnt)
	}
	halt()
	noneIsActive(t)
	beside.holds(t, alone)
	for _, line := range d.complaints(t)[complaints:] {
		t.Errorf("dockerd complains: %s", line)
	}
}
