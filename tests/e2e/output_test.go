package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"thintree/tests/pools"
)

// into runs a command with a file as its standard output, and gives what it says
// on standard error.
func into(out *os.File, cmd *exec.Cmd) (stderr string) {
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = out, &said
	cmd.Run() // how it ends is in its ProcessState
	return said.String()
}

func TestOutputThatDoesNotFitIsAFailure(t *testing.T) {
	t.Parallel()
	needs(t, root)
	dir := t.TempDir()
	sh(t, dir, "mkdir small && mount -t tmpfs -o size=64k tmpfs small")
	t.Cleanup(func() { sh(t, dir, "umount small") })
	source := "docker:" + pools.Docker(t)
	for _, args := range [][]string{
		{"cat", source, "container:ran:/bin/busybox"},
		{"ls", "--long", source, "container:ran:/bin"},
	} {
		out, err := os.Create(filepath.Join(dir, "small/out"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		// The listing is shorter than the filesystem.
		if args[0] == "ls" {
			if _, err := out.Write(make([]byte, 64<<10)); err != nil {
				t.Fatal(err)
			}
		}
		cmd := command(args...)
		if stderr := into(out, cmd); cmd.ProcessState.ExitCode() != 1 || !strings.HasSuffix(stderr, "standard output: no space left on device\n") {
			t.Errorf("%q: %v: %s", args, cmd.ProcessState, stderr)
		}
	}
}

// late is a file that takes what is written, and reports only when it is closed that
// this cannot be kept, as a file on NFS does.
type late struct{ fs.Inode }

func (*late) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (*late) Write(_ context.Context, _ fs.FileHandle, data []byte, _ int64) (uint32, syscall.Errno) {
	return uint32(len(data)), 0
}

func (*late) Flush(context.Context, fs.FileHandle) syscall.Errno { return syscall.EDQUOT }

func TestOutputThatIsLostWhenItIsClosedIsAFailure(t *testing.T) {
	t.Parallel()
	needs(t, root, fuseDevice)
	mnt := t.TempDir()
	folder := &fs.Inode{}
	server, err := fs.Mount(mnt, folder, &fs.Options{
		MountOptions: fuse.MountOptions{DirectMountStrict: true},
		OnAdd: func(ctx context.Context) {
			folder.AddChild("out", folder.NewPersistentInode(ctx, &late{}, fs.StableAttr{Mode: syscall.S_IFREG}), false)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Unmount(); err != nil {
			t.Error(err)
		}
	})
	source := "docker:" + pools.Docker(t)
	for _, args := range [][]string{
		{"cat", source, "container:ran:/etc/passwd"},
		{"info", source, "base"},
		{"ls", "--json", source},
		{"completion", "bash"},
		{"mount", "--help"},
	} {
		out, err := os.OpenFile(filepath.Join(mnt, "out"), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		cmd := command(args...)
		if stderr := into(out, cmd); cmd.ProcessState.ExitCode() != 1 || stderr != "thintree: standard output: disk quota exceeded\n" {
			t.Errorf("%q: %v: %s", args, cmd.ProcessState, stderr)
		}
		out.Close()
	}
}

// TestOutputThatNobodyReadsEndsTheProgram closes a pipe at its other end.
func TestOutputThatNobodyReadsEndsTheProgram(t *testing.T) {
	t.Parallel()
	source := "docker:" + pools.Docker(t)
	for _, args := range [][]string{
		{"cat", source, "container:ran:/bin/busybox"},
		{"info", source},
		{"info", "--json", source, "base"},
		{"ls", source},
		{"mount", "--help"},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		cmd := command(args...)
		stderr := into(w, cmd)
		w.Close()
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGPIPE || stderr != "" {
			t.Errorf("%q: %v: %s", args, cmd.ProcessState, stderr)
		}
	}
}
