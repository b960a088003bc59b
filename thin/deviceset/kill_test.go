package deviceset

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"thintree/tests/guest"
)

// Environment variables that make the test binary a worker: a process that uses a store
// until it is killed. They hold the store's folder and a seed for random choices.
const (
	asWorker   = "THINTREE_TEST_WORKER"
	workerSeed = "THINTREE_TEST_WORKER_SEED"
)

func init() {
	root := os.Getenv(asWorker)
	if root == "" {
		return
	}
	seed, err := strconv.ParseUint(os.Getenv(workerSeed), 10, 64)
	if err == nil {
		err = work(context.Background(), root, rand.New(rand.NewPCG(seed, 0)))
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// A worker prints these lines when it starts to open the store, and once the store is open.
const (
	begun  = "begun\n"
	opened = "open\n"
)

// work adds, mounts, unmounts and deletes devices for ever.
func work(ctx context.Context, root string, random *rand.Rand) error {
	fmt.Print(begun)
	s, err := NewDeviceSet(ctx, root, true, smallStore)
	if err != nil {
		return err
	}
	w := worker{s, root, random}
	// Starting a guard takes long, so only some workers take snapshots of mounted devices.
	guarded := random.IntN(3) == 0
	if guarded {
		if err := w.round(ctx, guarded); err != nil {
			return err
		}
	}
	fmt.Print(opened)
	for {
		if err := w.round(ctx, guarded); err != nil {
			return err
		}
	}
}

type worker struct {
	*DeviceSet
	root   string
	random *rand.Rand
}

// round adds a device, mounts it, writes to it, adds a snapshot of it while it is mounted
// or afterwards, unmounts it and deletes it.
func (w *worker) round(ctx context.Context, whileMounted bool) error {
	const names = 6
	name, other := fmt.Sprint("device-", w.random.IntN(names)), fmt.Sprint("device-", w.random.IntN(names))
	if err := w.add(ctx, name, ""); err != nil {
		return err
	}
	dir := filepath.Join(workDir(w.root), name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := w.MountDevice(ctx, name, dir, ""); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte(name), 0o600); err != nil {
		return err
	}
	if whileMounted {
		if err := w.add(ctx, other, name); err != nil {
			return err
		}
	}
	if err := w.UnmountDevice(ctx, name, dir); err != nil {
		return err
	}
	if err := w.add(ctx, other, name); err != nil {
		return err
	}
	return w.DeleteDevice(ctx, name)
}

// add adds a device, sometimes a longer one, unless it exists.
func (w *worker) add(ctx context.Context, name, base string) error {
	if w.HasDevice(name) {
		return nil
	}
	bytes := int64(0)
	if base == "" && w.random.IntN(10) == 0 {
		bytes = 96 << 20
	}
	return w.AddDevice(ctx, name, base, bytes)
}

// workDir is the folder with a worker's mount points.
func workDir(root string) string { return root + "-mounts" }

// killWorker starts a worker, waits until it prints said, and kills it at a random moment
// within the given time.
func killWorker(t *testing.T, root, said string, within time.Duration, random *rand.Rand) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), asWorker+"="+root, workerSeed+"="+fmt.Sprint(random.Uint32()))
	var text bytes.Buffer
	cmd.Stderr = &text
	// A plain pipe: the worker's guard has its end open longer, and Wait must not wait for
	// that.
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout = in
	err = cmd.Start()
	in.Close()
	if err != nil {
		t.Fatal(err)
	}
	line := ""
	for lines := bufio.NewReader(out); line != said && err == nil; {
		line, err = lines.ReadString('\n')
	}
	time.Sleep(time.Duration(random.Int64N(int64(within))))
	cmd.Process.Kill()
	cmd.Wait()
	if cmd.ProcessState.Exited() || line != said {
		t.Fatalf("the worker ended by itself, %v: %s", cmd.ProcessState, &text)
	}
}

// TestKilledStoreIsWhole kills a process at random moments while it makes a store, opens
// one, and adds, mounts, unmounts and deletes devices.
func TestKilledStoreIsWhole(t *testing.T) {
	t.Parallel()
	guest.Run(t, func(t *testing.T) {
		const newStores, kills = 10, 90
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))

		t.Run("while it is made", func(t *testing.T) {
			for i := range newStores {
				root := filepath.Join(t.TempDir(), fmt.Sprint("store-", i))
				killWorker(t, root, begun, time.Second, random)
				reopened(t, root, i == newStores-1)
				if t.Failed() {
					t.Fatalf("store %d", i)
				}
			}
		})
		t.Run("while it is used", func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "store")
			for i := range kills {
				if deadline, ok := t.Deadline(); ok && time.Until(deadline) < 30*time.Second {
					t.Logf("only %d kills: this machine is too slow for more", newStores+i)
					break
				}
				if i%6 == 5 {
					killWorker(t, root, begun, 250*time.Millisecond, random)
				} else {
					killWorker(t, root, opened, 120*time.Millisecond, random)
				}
				reopened(t, root, i%45 == 44)
				if t.Failed() {
					t.Fatalf("kill %d", i)
				}
			}
		})
	})
}

// reopened checks that a store opens, is whole, and leaves nothing when it is shut down.
func reopened(t *testing.T, root string, check bool) {
	t.Helper()
	s, err := NewDeviceSet(t.Context(), root, true, smallStore)
	if err != nil {
		t.Fatal(err)
	}
	if err := nothingSuspended(t); err != nil {
		t.Error(err)
	}
	if st, err := s.Status(t.Context()); err != nil || st.Problems != nil {
		t.Errorf("%+v, %v", st, err)
	}
	if check {
		usable(t, s)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := nothingLeft(t, root); err != nil {
		t.Error(err)
	}
	if err := agrees(t, root); err != nil {
		t.Error(err)
	}
	if check {
		metadata, _ := storeFiles(root)
		checked(t, metadata)
	}
}

// usable checks that each device can be mounted and has its files.
func usable(t *testing.T, s *DeviceSet) {
	t.Helper()
	for _, hash := range s.List() {
		if hash == "" {
			continue
		}
		dir := t.TempDir()
		if err := s.MountDevice(t.Context(), hash, dir, ""); err != nil {
			t.Error(err)
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "lost+found")); err != nil {
			t.Error(err)
		}
		if err := s.UnmountDevice(t.Context(), hash, dir); err != nil {
			t.Error(err)
		}
	}
}
