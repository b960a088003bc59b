package guest

import (
	"encoding/binary"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"thintree/thin"
	"thintree/thin/dm"
)

const (
	// lifecycleRounds is how often each step is measured.
	lifecycleRounds = 40
	// settle is how long the kernel has to end what was begun before. Starting a
	// program, and ending it, takes as long; what does without has to wait as well.
	settle = 50 * time.Millisecond
)

// BenchmarkLifecycle measures the steps of a device's life beside the same by the
// dmsetup program, without what it takes to start that and to end it: of dmsetup
// it counts from when the program opens the control device to when it closes it.
// What dmsetup version, run just before, takes there is what the program does
// before and after its work, and is taken off. Mounts and unmounts are the same system calls for both.
// A ratio below 1 is ours ahead.
func BenchmarkLifecycle(b *testing.B) {
	Bench(b, func(b *testing.B) {
		kernel, err := thin.OpenKernel()
		if err != nil {
			b.Fatal(err)
		}
		defer kernel.Close()
		pool, err := kernel.CreatePool(b.Context(), thin.NewPool{
			PoolConfig: thin.PoolConfig{Name: "bench", Metadata: "/mnt/metadata", Data: "/mnt/data"},
			DataBytes:  512 * mib,
		})
		if err != nil {
			b.Fatal(err)
		}
		const origin = 0
		if err := pool.CreateDevice(b.Context(), origin); err != nil {
			b.Fatal(err)
		}
		d, err := pool.ActivateDevice(b.Context(), thin.Activation{Name: "origin", ID: origin, SizeBytes: volumeBytes})
		if err != nil {
			b.Fatal(err)
		}
		mkdir(b, "/mnt/origin", "/mnt/snapshot")
		program(b, "mkfs.ext4", "-q", d.Path())
		mountExt4(b, d.Path(), "/mnt/origin")
		program(b, "dmsetup", "mknodes")

		theirs := &byDmsetup{control: watchControl(b)}
		measured := measure(b, &byLibrary{kernel: kernel, pool: pool}, theirs)

		var table strings.Builder
		w := tabwriter.NewWriter(&table, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "step\tthintree\tdmsetup\tratio")
		for i, step := range steps {
			ours, its := median(measured[0][i]), median(measured[1][i])
			fmt.Fprintf(w, "%s\t%v\t%v\t%.2f\n", step, ours.Round(10*time.Microsecond), its.Round(10*time.Microsecond), float64(ours)/float64(its))
		}
		w.Flush()
		fmt.Print(table.String())
	})
}

// steps are what is measured.
var steps = []string{
	"create",
	"snapshot of a mounted origin",
	"activate and mount",
	"unmount and deactivate",
	"delete",
}

// maker does the steps, with a device's id. spent is how long it has worked since
// it was last asked.
type maker interface {
	create(b *testing.B, id int)
	snapshot(b *testing.B, id int)
	activate(b *testing.B, id int) (path string)
	deactivate(b *testing.B, id int)
	delete(b *testing.B, id int)
	spent() time.Duration
}

// measure does the steps again and again, by two makers in turn.
func measure(b *testing.B, makers ...maker) (times [2][5][]time.Duration) {
	b.Helper()
	next := 1
	for range lifecycleRounds {
		for who, m := range makers {
			created, snapshot := next, next+1
			next += 2
			var mounting time.Duration
			for i, do := range []func(){
				func() { m.create(b, created) },
				func() { m.snapshot(b, snapshot) },
				func() {
					path := m.activate(b, snapshot)
					time.Sleep(settle)
					begin := time.Now()
					mountExt4(b, path, "/mnt/snapshot")
					mounting = time.Since(begin)
				},
				func() {
					begin := time.Now()
					if err := unix.Unmount("/mnt/snapshot", 0); err != nil {
						b.Fatal(err)
					}
					mounting = time.Since(begin)
					m.deactivate(b, snapshot)
				},
				func() { m.delete(b, snapshot) },
			} {
				time.Sleep(settle)
				mounting = 0
				do()
				times[who][i] = append(times[who][i], m.spent()+mounting)
			}
		}
	}
	return times
}

// stopwatch adds up how long calls take, less what looking at the clock does: in the
// guest that is a system call.
type stopwatch struct{ sum time.Duration }

func (s *stopwatch) time(call func()) {
	idle := time.Now()
	begin := time.Now()
	call()
	s.sum += time.Since(begin) - begin.Sub(idle)
}

func (s *stopwatch) spent() time.Duration {
	defer func() { s.sum = 0 }()
	return s.sum
}

type byLibrary struct {
	stopwatch
	kernel *thin.Kernel
	pool   *thin.Pool
}

func (l *byLibrary) check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (l *byLibrary) create(b *testing.B, id int) {
	l.time(func() { l.check(b, l.pool.CreateDevice(b.Context(), uint32(id))) })
}

func (l *byLibrary) snapshot(b *testing.B, id int) {
	l.time(func() { l.check(b, l.pool.CreateSnapDevice(b.Context(), uint32(id), 0)) })
}

func (l *byLibrary) activate(b *testing.B, id int) (path string) {
	l.time(func() {
		d, err := l.pool.ActivateDevice(b.Context(), thin.Activation{
			Name: fmt.Sprint("ours-", id), ID: uint32(id), SizeBytes: volumeBytes, Udev: dm.Public,
		})
		l.check(b, err)
		path = d.Path()
	})
	return path
}

func (l *byLibrary) deactivate(b *testing.B, id int) {
	l.time(func() {
		_, err := l.kernel.RemoveDevice(b.Context(), fmt.Sprint("ours-", id), false, dm.Public)
		l.check(b, err)
	})
}

func (l *byLibrary) delete(b *testing.B, id int) {
	l.time(func() { l.check(b, l.pool.DeleteDevice(b.Context(), uint32(id))) })
}

// byDmsetup runs the program, and counts from when it opens the control device to
// when it closes it.
type byDmsetup struct {
	sum     time.Duration
	control <-chan controlEvent
}

func (d *byDmsetup) run(b *testing.B, args ...string) {
	b.Helper()
	idle := d.open(b, "version")
	d.sum += d.open(b, args...) - idle
}

// open is how long the program has the control device open.
func (d *byDmsetup) open(b *testing.B, args ...string) time.Duration {
	b.Helper()
	for len(d.control) > 0 {
		<-d.control // of other programs
	}
	program(b, "dmsetup", args...)
	var opened time.Time
	for {
		e := <-d.control
		switch {
		case e.mask&unix.IN_OPEN != 0:
			opened = e.at
		case !opened.IsZero():
			return e.at.Sub(opened)
		}
	}
}

func (d *byDmsetup) spent() time.Duration {
	defer func() { d.sum = 0 }()
	return d.sum
}

func (d *byDmsetup) create(b *testing.B, id int) {
	d.run(b, "message", "bench", "0", fmt.Sprint("create_thin ", id))
}

func (d *byDmsetup) snapshot(b *testing.B, id int) {
	d.run(b, "suspend", "origin")
	d.run(b, "message", "bench", "0", fmt.Sprintf("create_snap %d 0", id))
	d.run(b, "resume", "origin")
}

func (d *byDmsetup) activate(b *testing.B, id int) string {
	d.run(b, "create", fmt.Sprint("theirs-", id), "--table", fmt.Sprintf("0 %d thin /dev/mapper/bench %d", volumeBytes/sectorBytes, id))
	return fmt.Sprint("/dev/mapper/theirs-", id)
}

func (d *byDmsetup) deactivate(b *testing.B, id int) {
	d.run(b, "remove", fmt.Sprint("theirs-", id))
}

func (d *byDmsetup) delete(b *testing.B, id int) {
	d.run(b, "message", "bench", "0", fmt.Sprint("delete ", id))
}

// controlEvent is an open or a close of the control device.
type controlEvent struct {
	mask uint32
	at   time.Time
}

// watchControl sends opens and closes of the control device until the process
// ends.
func watchControl(b *testing.B) <-chan controlEvent {
	b.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err == nil {
		_, err = unix.InotifyAddWatch(fd, "/dev/mapper/control", unix.IN_OPEN|unix.IN_CLOSE)
	}
	if err != nil {
		b.Fatal(err)
	}
	events := make(chan controlEvent, 100)
	go func() {
		runtime.LockOSThread()
		// An event of a file that is watched itself has no name.
		for buf := make([]byte, unix.SizeofInotifyEvent); ; {
			if _, err := unix.Read(fd, buf); err != nil {
				return
			}
			events <- controlEvent{binary.NativeEndian.Uint32(buf[4:]), time.Now()}
		}
	}()
	return events
}

func mountExt4(b *testing.B, device, dir string) {
	b.Helper()
	if err := unix.Mount(device, dir, "ext4", 0, ""); err != nil {
		b.Fatalf("mount %s: %v", device, err)
	}
}

func program(b *testing.B, name string, args ...string) {
	b.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		b.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

func mkdir(b *testing.B, dirs ...string) {
	b.Helper()
	for _, dir := range dirs {
		if err := unix.Mkdir(dir, 0o755); err != nil {
			b.Fatal(err)
		}
	}
}

func median(times []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(times))[len(times)/2]
}
