package kernelfs

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// writing are the filesystems that write to a writable device whatever the options say:
// they replay their journals, and reiserfs records that it has checked its journal.
var writing = map[string]bool{"gfs2": true, "ocfs2": true, "reiserfs": true}

// openWriting opens one of those. To skip the journal, the device must be read-only.
func openWriting(device *os.File, info volfs.Info, j volfs.Journal) (*FS, error) {
	readOnly, err := isReadOnly(device)
	if err != nil {
		return nil, err
	}
	if j == volfs.JournalSkip && !readOnly {
		return nil, &volfs.UnsupportedError{FS: info.Type, What: "reading it on a device that can be written to"}
	}
	root, err := detached(device, info.Type, j)
	if err == nil {
		return newFS(context.Background(), kept{root}, info)
	}
	if readOnly && errors.Is(err, unix.EINVAL) {
		err = fmt.Errorf("%w, as there may be something in its journal: %w", unix.EROFS, err)
	}
	return nil, err
}

// isReadOnly reports whether a block device is read-only.
func isReadOnly(device *os.File) (bool, error) {
	conn, err := device.SyscallConn()
	if err != nil {
		return false, err
	}
	var readOnly int
	var failed error
	if err := conn.Control(func(fd uintptr) { readOnly, failed = unix.IoctlGetInt(int(fd), unix.BLKROGET) }); err != nil {
		return false, err
	}
	return readOnly != 0, os.NewSyscallError("BLKROGET", failed)
}
