package lend

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/thin"
	"thintree/thin/dm"
	"thintree/thin/dm/dmtest"
)

// lender is a Lender over a fake device-mapper.
func lender(t *testing.T) (*Lender, *dm.Client, *dmtest.Kernel) {
	t.Helper()
	k := dmtest.New()
	k.SetDisk(unix.Mkdev(7, 0), 1<<20)
	client, err := dm.New(k.Control)
	if err != nil {
		t.Fatal(err)
	}
	l := New(thin.NewKernel(client))
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, client, k
}

func TestSweepRemovesDevicesOfDeadProcesses(t *testing.T) {
	t.Parallel()
	l, client, k := lender(t)
	me, err := Owner()
	if err != nil {
		t.Fatal(err)
	}
	dead := uuidPrefix + "1-0-" // process 1, but with another beginning
	for name, uuid := range map[string]string{
		prefix + "mine":    uuidPrefix + me + "-1",
		prefix + "dead":    dead + "1",
		prefix + "open":    dead + "2",
		prefix + "foreign": "OTHER-1",
		"others":           dead + "3",
	} {
		if _, err := client.Activate(t.Context(), dm.Spec{
			Name: name, UUID: uuid, Udev: dm.Hidden, Table: []dm.Target{{Length: 8, Type: "linear", Params: "7:0 0"}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Open(prefix + "open"); err != nil {
		t.Fatal(err)
	}
	if err := l.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	list, err := client.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range list {
		names = append(names, d.Name)
	}
	slices.Sort(names)
	// The open device is removed when it is closed.
	if want := []string{"others", prefix + "foreign", prefix + "mine", prefix + "open"}; !slices.Equal(names, want) {
		t.Errorf("left are %q, want %q", names, want)
	}
	info, table, err := client.Table(t.Context(), prefix+"open")
	if err != nil || !info.DeferredRemoval || len(table) != 1 || table[0].Type != "linear" {
		t.Errorf("%+v, %v, %v", info, table, err)
	}
	if err := l.SweepOf(t.Context(), "1-0"); err != nil {
		t.Error(err)
	}
	_, table, err = client.Table(t.Context(), prefix+"open")
	if err != nil || len(table) != 1 || table[0].Type != "error" || table[0].Length != 8 {
		t.Errorf("open device of a process that has ended: %v, %v", table, err)
	}
	if err := l.SweepOf(t.Context(), me); err != nil {
		t.Error(err)
	}
	if _, err := client.Info(t.Context(), prefix+"mine"); !errors.Is(err, dm.ErrNotFound) {
		t.Errorf("a device of a process that was said to have ended is left: %v", err)
	}
}

func TestDeadProcessesAreRecognised(t *testing.T) {
	t.Parallel()
	me, err := Owner()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	began, err := beginning(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	other := fmt.Sprintf("%d-%s", cmd.Process.Pid, began)
	if !lives(me) || !lives(other) {
		t.Error("a running process is taken for dead")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// The process is listed as a zombie until Wait.
	for {
		if _, err := beginning(cmd.Process.Pid); err != nil {
			break
		}
	}
	if lives(other) {
		t.Error("a zombie is taken for alive")
	}
	cmd.Wait()
	if lives(other) {
		t.Error("a process that has ended is taken for alive")
	}
	if !lives("what") {
		t.Error("text that names no process is taken for a dead one")
	}
}
