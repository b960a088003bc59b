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

// manyVolumes measures lists of 10,000 volumes, and the memory that they and a
// million files take.
func (b *bench) manyVolumes() error {
	const count, filesEach = 10000, 100
	if err := b.sh(fmt.Sprintf(`truncate -s 16M small && mkfs.ext4 -q small && mkdir fs-small && mount -o loop small fs-small &&
		(cd fs-small && for f in {1..%d}; do echo $f >$f; done) && umount fs-small`, filesEach)); err != nil {
		return err
	}
	var names []string
	for id := range count {
		names = append(names, fmt.Sprintf("volume-%05d", id+1))
	}
	if err := b.pool("many", 16, names...); err != nil {
		return err
	}
	source := []string{"--names", b.path("many.names"), "pool:" + b.path("many.meta") + "," + b.path("small")}
	mnt, err := b.mount("mnt-many", append([]string{"--max-active", "64"}, source...)...)
	if err != nil {
		return err
	}
	list, _, err := pair(5, dropCaches, func() error { return b.sh("ls " + mnt + "/volumes >/dev/null") }, func() error { return nil })
	if err != nil {
		return err
	}
	b.row(fmt.Sprintf("ls of %d volumes, cold", count), list, 0, "", "≤ 200ms", list <= 200*time.Millisecond)
	began := time.Now()
	if err := b.sh("ls -l " + mnt + "/volumes >/dev/null"); err != nil {
		return err
	}
	b.row(fmt.Sprintf("ls -l of %d volumes, first time", count), time.Since(began), 0, "", "", true)
	command, _, err := pair(5, nil, func() error {
		return exec.Command(b.program, append([]string{"ls"}, source...)...).Run()
	}, func() error { return nil })
	if err != nil {
		return err
	}
	b.row(fmt.Sprintf("thintree ls of %d volumes", count), command, 0, "", "≤ 200ms", command <= 200*time.Millisecond)

	began = time.Now()
	if err := b.sh("find " + mnt + "/volumes -printf '%s\n' | wc -l"); err != nil {
		return err
	}
	b.row(fmt.Sprintf("find + stat through %d volumes, %d files", count, count*filesEach), time.Since(began), 0, "", "", true)
	mib, err := residentMiB(mnt)
	if err != nil {
		return err
	}
	verdict := "holds"
	if mib > 100 {
		verdict = "MISSED"
	}
	b.rows = append(b.rows, [6]string{"resident after it", fmt.Sprintf("%d MiB", mib), "", "", "≤ 100 MiB", verdict})
	return b.umount(mnt)
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
