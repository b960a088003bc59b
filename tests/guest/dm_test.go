package guest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"thintree/thin/dm"
)

// TestDeviceMapper holds package dm against the kernel and against dmsetup.
func TestDeviceMapper(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		if _, err := exec.LookPath("dmsetup"); err != nil {
			t.Skipf("needs dmsetup: %v", err)
		}
		c, err := dm.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, sub := range []struct {
			name string
			run  func(*testing.T, *dm.Client)
		}{
			{"sequence", dmSequence}, // the first: it names devices by their minor numbers
			{"as dmsetup tells", dmAsDmsetup},
			{"many devices", dmMany},
			{"a long table", dmLongTable},
			{"odd names", dmOddNames},
			{"low water", dmLowWater},
			{"deferred removal", dmDeferred},
			{"nodes and links", dmNodes},
			{"a node that dmsetup made", dmOtherNode},
			{"a dev of its own", dmBareDev},
			{"udev", dmUdev},
		} {
			t.Run(sub.name, func(t *testing.T) { sub.run(t, c) })
			if list, err := c.List(t.Context()); err != nil || list != nil {
				t.Fatalf("%s has left %v, %v", sub.name, list, err)
			}
		}
	})
}

// dmActivate activates a device of a table like dmsetup's, until the test ends.
func dmActivate(t *testing.T, c *dm.Client, name string, u dm.Udev, table ...string) dm.Info {
	t.Helper()
	info, err := c.Activate(t.Context(), dm.Spec{Name: name, UUID: "test-" + name, Table: dmTable(t, table...), Udev: u})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), seconds)
		defer cancel()
		if err := c.Deactivate(ctx, name, u); err != nil {
			t.Error(err)
		}
	})
	return info
}

func dmTable(t *testing.T, lines ...string) (table []dm.Target) {
	t.Helper()
	for _, line := range lines {
		var target dm.Target
		if _, err := fmt.Sscan(line, &target.Start, &target.Length, &target.Type); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if words := strings.SplitN(line, " ", 4); len(words) == 4 {
			target.Params = words[3]
		}
		table = append(table, target)
	}
	return table
}

// dmNumber is a device number in a table.
func dmNumber(number uint64) string {
	return fmt.Sprintf("%d:%d", unix.Major(number), unix.Minor(number))
}

// dmPool activates a pool of 64 MiB with a low water mark in blocks.
func dmPool(t *testing.T, c *dm.Client, name string, lowWater int) dm.Info {
	t.Helper()
	dir := t.TempDir()
	metadata, data := loop(t, filepath.Join(dir, "metadata"), 4*mib), loop(t, filepath.Join(dir, "data"), 64*mib)
	t.Cleanup(func() { sh(t, "losetup -d "+metadata+" "+data) })
	return dmActivate(t, c, name, dm.Hidden, fmt.Sprintf("0 131072 thin-pool %s %s 128 %d", metadata, data, lowWater))
}

func dmThin(t *testing.T, c *dm.Client, name string, pool dm.Info, id int) dm.Info {
	t.Helper()
	if _, _, err := c.Message(t.Context(), pool.Name, 0, fmt.Sprintf("create_thin %d", id)); err != nil {
		t.Fatal(err)
	}
	return dmActivate(t, c, name, dm.Hidden, fmt.Sprintf("0 20480 thin %s %d", dmNumber(pool.Number), id))
}

func dmLowWater(t *testing.T, c *dm.Client) {
	pool := dmPool(t, c, "pool", 1000)
	dmThin(t, c, "thin", pool, 1)
	ctx, cancel := context.WithTimeout(t.Context(), seconds)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		info, err := c.WaitEvent(ctx, "pool", 0)
		if err == nil && info.EventNr != 1 {
			err = fmt.Errorf("event %d", info.EventNr)
		}
		done <- err
	}()
	for first := uint64(0); first < 48; first += 12 {
		select {
		case err := <-done:
			t.Fatalf("with %d of 1024 blocks in use: %v", first, err)
		case <-time.After(100 * time.Millisecond):
		}
		if err := dmWrite(ctx, c, "thin", first, 12); err != nil {
			t.Fatal(err)
		}
		if first == 24 { // 36 in use, and 988 free
			break
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	short, cancelShort := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancelShort()
	if _, err := c.WaitEvent(short, "pool", 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func dmDeferred(t *testing.T, c *dm.Client) {
	dmActivate(t, c, "a", dm.Hidden, "0 8 error")
	f, err := dmOpen(t.Context(), c, "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := c.Deactivate(ctx, "a", dm.Hidden); !errors.Is(err, dm.ErrInUse) {
		t.Errorf("error %v", err)
	}
	if gone, err := c.DeactivateLater(t.Context(), "a", dm.Hidden); gone || err != nil {
		t.Errorf("gone: %v, %v", gone, err)
	}
	waited := make(chan error, 1)
	go func() {
		_, err := c.WaitEvent(t.Context(), "a", 0)
		waited <- err
	}()
	if err := c.CancelDeferred(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	if gone, err := c.DeactivateLater(t.Context(), "a", dm.Hidden); gone || err != nil {
		t.Errorf("gone: %v, %v", gone, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; !errors.Is(err, dm.ErrNotFound) {
		t.Errorf("a wait for an event gives %v", err)
	}
	if gone, err := c.DeactivateLater(t.Context(), "a", dm.Hidden); !gone || err != nil {
		t.Errorf("gone: %v, %v", gone, err)
	}
}
