package guest

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"thintree/thin"
	"thintree/thin/dm"
)

// The steps of an owner who changes a volume, in their order. A look can come after each of
// them, and before the first.
const (
	stepActivate = iota
	stepMount
	stepWrite
	stepUnmount
	stepDeactivate
	ownerSteps
)

// TestNothingOldIsShown changes a volume as its owner does, and looks at it between any of
// the steps. Soon after the last step the tree must show what was written, and never
// again what was there before: neither old contents nor that a name is missing.
func TestNothingOldIsShown(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		p := newPool(t, t.TempDir())
		for id, fstype := range map[int]string{1: "ext4", 2: "xfs"} {
			p.create(t, id)
			device := fmt.Sprintf("/dev/mapper/new-%d", id)
			sh(t, fmt.Sprintf("dmsetup create new-%d --table '0 %d thin /dev/mapper/pool %[1]d'", id, engineSectors))
			mnt := t.TempDir()
			sh(t, fmt.Sprintf("mkfs.%s -q %s && mount %[2]s %s && echo '%[4]s' >%[3]s/a; umount %[3]s; dmsetup remove %[5]s", fstype, device, mnt, roundText(0), filepath.Base(device)))
		}
		names := writeText(t, fmt.Sprintf("1 %d ext4\n2 %[1]d xfs\n", engineSectors))
		tree := mountTree(t, "--names", names, "pool:"+p.metadataFile+","+p.dataFile)
		for _, fstype := range []string{"ext4", "xfs"} {
			v := &changed{pool: must(must(kernelThings()).OpenPool(t.Context(), "pool")), fstype: fstype, mnt: t.TempDir(), dir: filepath.Join(tree, "volumes", fstype)}
			v.looks(t)
			for looks := range 1 << (ownerSteps + 1) {
				if bits.OnesCount(uint(looks)) > 3 && looks != 1<<(ownerSteps+1)-1 {
					continue // what few looks between the steps do not show, more do not
				}
				t.Run(fmt.Sprintf("%s, looks %06b", fstype, looks), func(t *testing.T) {
					v.freedAfter(t)
					v.changes(t, func(step int) {
						if looks>>step&1 != 0 {
							v.looks(t)
						}
					})
				})
			}
			t.Run(fstype+", with walkers", func(t *testing.T) {
				v.freedAfter(t)
				defer v.walkers()()
				for range 12 {
					v.changes(t, func(int) {})
				}
			})
			t.Run(fstype+", all at once", func(t *testing.T) {
				v.freedAfter(t)
				v.changes(t, func(int) {}) // so that its text is on the device
				defer v.walkers()()
				for range 20 {
					v.overwrites(t)
				}
			})
		}
	})
}

// changed is a volume that its owner changes again and again.
type changed struct {
	pool   *thin.Pool
	fstype string
	mnt    string // the owner's
	dir    string // in the tree
	round  int
	offset int64 // of the text of the file a on the device, in bytes, once it is known
}

// roundText is what the file a holds after a round: always as long.
func roundText(round int) string { return fmt.Sprintf("written in round %06d", round) }

func (v *changed) id() uint32 { return map[string]uint32{"ext4": 1, "xfs": 2}[v.fstype] }

// looks looks at the volume in the tree: a file, a name that is not there yet, the folder.
func (v *changed) looks(t *testing.T) {
	os.ReadFile(v.dir + "/a")
	os.Stat(fmt.Sprintf("%s/n%d", v.dir, v.round+1))
	os.ReadDir(v.dir)
}

func (v *changed) activate(t *testing.T) thin.Device {
	t.Helper()
	var d thin.Device
	within(t, seconds, "activate", func() (err error) {
		d, err = v.pool.ActivateDevice(t.Context(), thin.Activation{Name: "changed", ID: v.id(), SizeBytes: engineSectors * sectorBytes})
		return err
	})
	return d
}

func (v *changed) deactivate(t *testing.T) {
	t.Helper()
	within(t, seconds, "deactivate", func() error {
		_, err := must(kernelThings()).DM().Remove(t.Context(), "changed", false, dm.Hidden)
		return err
	})
}

// freedAfter unmounts and deactivates the volume if the test ends between two steps.
func (v *changed) freedAfter(t *testing.T) {
	t.Cleanup(func() {
		if t.Failed() {
			sh(t, "umount "+v.mnt+" || true; dmsetup remove --retry changed || true")
		}
	})
}

// changes goes through the steps, and calls after before the first, with 0, and after each.
func (v *changed) changes(t *testing.T, after func(step int)) {
	t.Helper()
	v.round++
	after(0)
	d := v.activate(t)
	after(1 + stepActivate)
	within(t, seconds, "mount", func() error { return unix.Mount(d.Path(), v.mnt, v.fstype, 0, "") })
	after(1 + stepMount)
	noError(t, os.WriteFile(v.mnt+"/a", fmt.Appendln(nil, roundText(v.round)), 0o644))
	noError(t, os.WriteFile(fmt.Sprintf("%s/n%d", v.mnt, v.round), nil, 0o644))
	after(1 + stepWrite)
	within(t, seconds, "unmount", func() error { return unix.Unmount(v.mnt, 0) })
	after(1 + stepUnmount)
	v.deactivate(t)
	after(1 + stepDeactivate)
	v.isNew(t)
}

// isNew waits until the tree shows what was written last, and fails if it shows anything
// else after that.
func (v *changed) isNew(t *testing.T) {
	t.Helper()
	shows := func() error {
		text, err := os.ReadFile(v.dir + "/a")
		if err == nil && strings.TrimSpace(string(text)) != roundText(v.round) {
			err = fmt.Errorf("the tree shows %q after round %d", text, v.round)
		}
		_, missing := os.Stat(fmt.Sprintf("%s/n%d", v.dir, v.round))
		return errors.Join(err, missing)
	}
	within(t, 3*time.Second, "what was written shows", shows)
	for range 3 {
		time.Sleep(20 * time.Millisecond)
		if err := shows(); err != nil && !errors.Is(err, unix.ESTALE) {
			t.Error("after it was shown: ", err)
		}
	}
}

// overwrites does all steps at once, without a filesystem: the bytes of the file change
// where they lie, so that no mapping shows it.
func (v *changed) overwrites(t *testing.T) {
	t.Helper()
	d := v.activate(t)
	f, err := os.OpenFile(d.Path(), os.O_RDWR, 0)
	noError(t, err)
	at := v.place(t, f)
	v.round++
	_, err = f.WriteAt([]byte(roundText(v.round)), at)
	noError(t, errors.Join(err, f.Sync(), f.Close()))
	v.deactivate(t)
	within(t, 3*time.Second, "what was written shows", func() error {
		text, err := os.ReadFile(v.dir + "/a")
		if err == nil && strings.TrimSpace(string(text)) != roundText(v.round) {
			err = fmt.Errorf("the tree shows %q after round %d", text, v.round)
		}
		return err
	})
}

// place is where on the device the text of the file lies.
func (v *changed) place(t *testing.T, device *os.File) int64 {
	t.Helper()
	text := []byte(roundText(v.round))
	part := make([]byte, 4*mib)
	for at := int64(0); v.offset == 0; at += int64(len(part) / 2) {
		n, err := device.ReadAt(part, at)
		if i := bytes.Index(part[:n], text); i >= 0 {
			v.offset = at + int64(i)
		} else if err != nil {
			t.Fatal("the text is not on the device: ", err)
		}
	}
	return v.offset
}

// walkers starts readers of the volume, which read in loops until stop.
func (v *changed) walkers() (stop func()) {
	ended := make(chan struct{})
	var walkers sync.WaitGroup
	for range 2 {
		walkers.Go(func() {
			for {
				select {
				case <-ended:
					return
				case <-time.After(2 * time.Millisecond): // the owner has the same CPU
				}
				os.ReadFile(v.dir + "/a")
				walk(v.dir)
			}
		})
	}
	return func() { close(ended); walkers.Wait() }
}
