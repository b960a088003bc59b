package capability

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRootOfTheHostHasCapabilities(t *testing.T) {
	t.Parallel()
	own, err := Own()
	if err != nil {
		t.Fatal(err)
	}
	of, err := Of(os.Getpid())
	if err != nil || of != own {
		t.Errorf("of this process's id: %#x, %v, want %#x", of, err, own)
	}
	if os.Geteuid() != 0 || own == 0 {
		t.Skip("needs root of the host")
	}
	if !own.Has(unix.CAP_CHOWN) {
		t.Errorf("%#x is without CAP_CHOWN", own)
	}
}

func TestRootOfAnotherUserNamespaceHasNone(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("needs user namespaces: %v", err)
	}
	defer cmd.Wait()
	defer stdin.Close()
	if set, err := Of(cmd.Process.Pid); err != nil || set != 0 {
		t.Errorf("%#x, %v", set, err)
	}
}

func TestThreadThatDoesNotExistHasNone(t *testing.T) {
	t.Parallel()
	if set, err := Of(1 << 30); err == nil || set != 0 { // thread ids end at 1 << 22
		t.Errorf("%#x, %v", set, err)
	}
}
