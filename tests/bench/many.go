package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	manyCount   = 10000
	mostCount   = 100000
	smallMiB    = 16
	filesInEach = 100
)

// manyVolumes measures lists of 10,000 and 100,000 volumes of a bare pool, and of a group of
// LVM, and the memory that they and a million files take.
func (b *bench) manyVolumes() error {
	if err := b.sh(fmt.Sprintf(`truncate -s %dM small && mkfs.ext4 -q small && mkdir fs-small && mount -o loop small fs-small &&
		(cd fs-small && for f in {1..%d}; do echo $f >$f; done) && umount fs-small`, smallMiB, filesInEach)); err != nil {
		return err
	}
	for _, count := range []int{manyCount, mostCount} {
		names := make([]string, count)
		for i := range names {
			names[i] = fmt.Sprintf("volume-%06d", i+1)
		}
		if err := b.manyOfPool(names); err != nil {
			return err
		}
		if err := b.manyOfLVM(names); err != nil {
			return err
		}
	}
	return nil
}

// manyOfPool measures the volumes of a bare pool.
func (b *bench) manyOfPool(names []string) error {
	pool := fmt.Sprint("many", len(names))
	if err := b.pool(pool, smallMiB, names...); err != nil {
		return err
	}
	defer os.Remove(b.path(pool + ".meta"))
	source := []string{"--names", b.path(pool + ".names"), "pool:" + b.path(pool+".meta") + "," + b.path("small")}
	return b.lists("a pool", "volumes", len(names), source)
}

// manyOfLVM measures the volumes of a group of LVM, beside LVM's own programs. These read only
// the group's text, and thintree the pool's metadata too.
func (b *bench) manyOfLVM(names []string) error {
	g, err := b.makeGroup(fmt.Sprint("group", len(names)), b.path("small"), smallMiB, names...)
	if err != nil {
		return err
	}
	defer os.Remove(g.disk)
	source := "lvm:" + g.disk
	if len(names) == manyCount {
		ours := func() error { return exec.Command(b.program, "ls", source).Run() }
		for _, program := range []string{"lvs", "vgs"} {
			a, l, err := pair(5, nil, ours, g.lvm(program))
			if err != nil {
				return err
			}
			b.row(fmt.Sprintf("LVM text of %d volumes: thintree ls", len(names)), a, l, program, "≤ 1 ×", a <= l)
		}
	}
	return b.lists("a group of LVM", "volumes/"+g.name, len(names), []string{source})
}

// lists measures lists of a source's volumes, which are in a folder of its tree.
func (b *bench) lists(what, folder string, count int, source []string) error {
	goal := 100 * time.Millisecond
	if count == mostCount {
		goal = 500 * time.Millisecond
	}
	row := func(how string, took, goal time.Duration) {
		b.row(fmt.Sprintf("%s of %d volumes of %s", how, count, what), took, 0, "", fmt.Sprint("≤ ", goal), took <= goal)
	}
	nothing := func() error { return nil }
	command, _, err := pair(5, nil, func() error {
		return exec.Command(b.program, append([]string{"ls"}, source...)...).Run()
	}, nothing)
	if err != nil {
		return err
	}
	row("thintree ls", command, goal)
	if count == mostCount {
		return nil
	}
	args := append([]string{"--max-active", "64"}, source...)
	mnt, err := b.mount("mnt-many", args...)
	if err != nil {
		return err
	}
	list, _, err := pair(5, dropCaches, func() error { return b.sh("ls " + mnt + "/" + folder + " >/dev/null") }, nothing)
	if err != nil {
		return err
	}
	row("ls, cold,", list, goal)
	long := func() error { return b.sh("ls -l " + mnt + "/" + folder + " >/dev/null") }
	mounted := func() error { // so that nothing is known of the volumes
		if err := b.umount(mnt); err != nil {
			return err
		}
		_, err := b.mount("mnt-many", args...)
		return err
	}
	first, _, err := pair(3, mounted, long, nothing)
	if err != nil {
		return err
	}
	row("ls -l, first time,", first, time.Second)
	again, _, err := pair(3, func() error {
		time.Sleep(1100 * time.Millisecond) // longer than the kernel keeps names
		return nil
	}, long, nothing)
	if err != nil {
		return err
	}
	row("ls -l, again,", again, time.Second)
	if err := b.resident("resident after ls -l of "+what, mnt); err != nil {
		return err
	}

	began := time.Now()
	if err := b.sh("find " + mnt + "/" + folder + " -printf '%s\n' | wc -l"); err != nil {
		return err
	}
	b.row(fmt.Sprintf("find + stat through %d volumes of %s, %d files", count, what, count*filesInEach), time.Since(began), 0, "", "", true)
	if err := b.resident("resident after it", mnt); err != nil {
		return err
	}
	return b.umount(mnt)
}

// resident notes how much memory the process that serves a mount holds.
func (b *bench) resident(what, mnt string) error {
	const most = 64
	mib, err := residentMiB(mnt)
	if err != nil {
		return err
	}
	verdict := "holds"
	if mib > most {
		verdict = "MISSED"
	}
	b.rows = append(b.rows, [6]string{what, fmt.Sprintf("%d MiB", mib), "", "", fmt.Sprintf("≤ %d MiB", most), verdict})
	fmt.Fprintf(os.Stderr, "%s: %d MiB\n", what, mib)
	return nil
}

// residentMiB is how much memory the process that serves a mount holds.
func residentMiB(mnt string) (int, error) {
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, p := range procs {
		args, err := os.ReadFile(p)
		if err != nil || !strings.HasSuffix(string(args), "\x00"+mnt+"\x00") {
			continue
		}
		status, err := os.ReadFile(filepath.Join(filepath.Dir(p), "status"))
		if err != nil {
			return 0, err
		}
		_, after, _ := strings.Cut(string(status), "VmRSS:")
		kib, err := strconv.Atoi(strings.Fields(after)[0])
		return kib / 1024, err
	}
	return 0, fmt.Errorf("no process serves %s", mnt)
}
