// Bench measures what docs/design.md promises of speed, each figure beside the
// kernel's own mount of the same volume, or the program that does the same, in
// the same run. It needs root, for loop mounts and to drop caches. Arguments are the parts
// to measure; without any it measures all.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	if os.Getuid() != 0 {
		return errors.New("needs root: it mounts loop devices and drops caches")
	}
	for _, p := range []string{"mkfs.ext4", "thin_restore", "thin_ls", "thin_dump", "lvs", "vgs"} {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("needs %s: run tests/setup/install", p)
		}
	}
	b := &bench{}
	if b.dir, err = os.MkdirTemp("", "thintree-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.cleanUp()) }()
	b.program = filepath.Join(b.dir, "thintree")
	if err := b.sh("go build -trimpath -o " + b.program + " thintree"); err != nil {
		return err
	}
	for _, part := range []struct {
		name    string
		measure func() error
	}{{"volume", b.volume}, {"access", b.kernelAccess}, {"passthrough", b.passthrough}, {"many", b.manyVolumes}, {"large", b.largePool}} {
		if len(os.Args) > 1 && !slices.Contains(os.Args[1:], part.name) {
			continue
		}
		if err := part.measure(); err != nil {
			return err
		}
	}
	return b.print()
}

// bench is a run of all measurements, in a folder of its own.
type bench struct {
	dir, program string
	mounts       []string // what is mounted now
	loops        []string // loop devices that are there now
	rows         [][6]string
}

// sh runs a shell command in the bench's folder.
func (b *bench) sh(command string) error {
	cmd := exec.Command("bash", "-c", command)
	if b.program == "" || filepath.Dir(b.program) == b.dir && command[:2] != "go" {
		cmd.Dir = b.dir
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, out)
	}
	return nil
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// mount mounts a pool by thintree.
func (b *bench) mount(name string, args ...string) (string, error) {
	mnt := b.path(name)
	if err := os.MkdirAll(mnt, 0o755); err != nil {
		return "", err
	}
	if out, err := exec.Command(b.program, append(append([]string{"mount"}, args...), mnt)...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("mount: %w: %s", err, out)
	}
	b.mounts = append(b.mounts, mnt)
	return mnt, nil
}

// loop mounts an image by the kernel.
func (b *bench) loop(name, image string) (string, error) {
	mnt := b.path(name)
	if err := os.MkdirAll(mnt, 0o755); err != nil {
		return "", err
	}
	if err := b.sh("mount -o loop,ro,noload " + image + " " + mnt); err != nil {
		return "", err
	}
	b.mounts = append(b.mounts, mnt)
	return mnt, nil
}

func (b *bench) umount(mnt string) error {
	b.mounts = slices.DeleteFunc(b.mounts, func(m string) bool { return m == mnt })
	return b.sh("umount " + mnt)
}

func (b *bench) cleanUp() error {
	var errs []error
	for _, m := range slices.Backward(slices.Clone(b.mounts)) {
		errs = append(errs, b.sh("umount -l "+m))
	}
	for _, device := range slices.Clone(b.loops) {
		errs = append(errs, b.freeLoop(device))
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

// dropCaches makes the next reads cold.
func dropCaches() error {
	if err := exec.Command("sync").Run(); err != nil {
		return err
	}
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0)
}

// pair measures two things in turn, a few times, and gives of each the time than which
// three in four took longer: what else a machine does, and its host, only adds to times,
// and now and then tenfold.
func pair(runs int, before, ours, theirs func() error) (a, b time.Duration, err error) {
	var as, bs []time.Duration
	once := func(f func() error, to *[]time.Duration) error {
		if before != nil {
			if err := before(); err != nil {
				return err
			}
		}
		began := time.Now()
		if err := f(); err != nil {
			return err
		}
		*to = append(*to, time.Since(began))
		return nil
	}
	for range runs {
		if err := errors.Join(once(ours, &as), once(theirs, &bs)); err != nil {
			return 0, 0, err
		}
	}
	slices.Sort(as)
	slices.Sort(bs)
	return as[len(as)/4], bs[len(bs)/4], nil
}

// row notes a result. The ratio is our time by theirs.
func (b *bench) row(what string, ours, theirs time.Duration, beside, goal string, holds bool) {
	verdict := ""
	switch {
	case goal != "" && holds:
		verdict = "holds"
	case goal != "":
		verdict = "MISSED"
	}
	other, ratio := "", ""
	if theirs > 0 {
		other, ratio = fmt.Sprintf("%v (%s)", round(theirs), beside), fmt.Sprintf("%.2f", float64(ours)/float64(theirs))
	}
	b.rows = append(b.rows, [6]string{what, round(ours).String(), other, ratio, goal, verdict})
	fmt.Fprintf(os.Stderr, "%s: %v %s %s\n", what, round(ours), other, ratio)
}

func round(d time.Duration) time.Duration {
	switch {
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	case d > time.Millisecond:
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(100 * time.Nanosecond)
}

func (b *bench) print() error {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "what\tthintree\tbeside\tratio of times\tgoal\t")
	for _, r := range b.rows {
		for _, c := range r {
			fmt.Fprintf(w, "%s\t", c)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}
