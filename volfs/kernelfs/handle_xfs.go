package kernelfs

import (
	"os"

	"golang.org/x/sys/unix"

	"thintree/volfs"
)

// xfsBulkstat is XFS_IOC_BULKSTAT of fs/xfs/libxfs/xfs_fs.h.
const xfsBulkstat = 0x8040587F

// xfsGeneration returns the generation of an xfs inode. Its handle needs that.
func xfsGeneration(root *os.File, ino volfs.Ino) (uint32, error) {
	// struct xfs_bulkstat_req with room for one struct xfs_bulkstat
	var req struct {
		ino            uint64
		flags          uint32
		icount, ocount uint32
		agno           uint32
		reserved       [5]uint64
		stat           struct {
			ino, size, blocks, xflags  uint64
			atime, mtime, ctime, btime int64
			gen                        uint32
			rest                       [124]byte
		}
	}
	req.ino, req.icount = uint64(ino), 1
	if err := ioctl(root, xfsBulkstat, &req); err != nil {
		return 0, os.NewSyscallError("xfs bulkstat", err)
	}
	if req.ocount == 0 || req.stat.ino != uint64(ino) {
		return 0, unix.ENOENT
	}
	return req.stat.gen, nil
}
