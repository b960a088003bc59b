package dm

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Disk is one device-mapper device from when it got its first table until it was removed.
type Disk struct {
	Number uint64 // as unix.Mkdev makes it
	// Sequence tells it from one that had the number before: the kernel's diskseq. It is 0
	// before Linux 5.15.
	Sequence uint64
}

// NewDisks tells which device-mapper devices come, also those that are gone again before
// anybody could list them: by the kernel's own messages (uevents) of block devices. Its
// calls must not be concurrent.
type NewDisks struct{ socket int }

// kernelGroup is the multicast group of the kernel's messages, not of udev's.
const kernelGroup = 1

// queueBytes is how much of messages the kernel keeps for us: some thousand devices.
const queueBytes = 2 << 20

// WatchNewDisks begins to listen.
func WatchNewDisks() (*NewDisks, error) {
	const kind = unix.SOCK_RAW | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	socket, err := unix.Socket(unix.AF_NETLINK, kind, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	// Without the right to have as much, it is as much as is allowed.
	if unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, queueBytes) != nil {
		unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_RCVBUF, queueBytes)
	}
	if err := unix.Bind(socket, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		unix.Close(socket)
		return nil, os.NewSyscallError("bind", err)
	}
	return &NewDisks{socket}, nil
}

// Close ends it.
func (n *NewDisks) Close() error { return unix.Close(n.socket) }

// Take gives those that came since it was last called, and waits for none. lost says that
// there were too many to be kept, so that others may have come.
func (n *NewDisks) Take() (list []Disk, lost bool, err error) {
	buf := make([]byte, 16<<10) // the kernel's UEVENT_BUFFER_SIZE is 2 KiB
	for {
		length, from, err := unix.Recvfrom(n.socket, buf, 0)
		switch err {
		case nil:
		case unix.EAGAIN:
			return list, lost, nil
		case unix.EINTR:
			continue
		case unix.ENOBUFS:
			lost = true
			continue
		default:
			return list, lost, fmt.Errorf("uevents: %w", err)
		}
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue // not the kernel
		}
		if d, ok := parseNewDisk(buf[:length]); ok {
			list = append(list, d)
		}
	}
}

// parseNewDisk reads a message: ACTION@PATH, and then NAME=VALUE each, all with a NUL at
// their end (lib/kobject_uevent.c). It is ok if that tells of a new device-mapper device.
func parseNewDisk(message []byte) (d Disk, ok bool) {
	const action = "add@/devices/virtual/block/dm-"
	if !bytes.HasPrefix(message, []byte(action)) {
		return d, false
	}
	var major, minor uint64
	disk := false
	for field := range bytes.SplitSeq(message, []byte{0}) {
		name, value, _ := bytes.Cut(field, []byte("="))
		switch string(name) {
		case "MAJOR":
			major, _ = strconv.ParseUint(string(value), 10, 32)
		case "MINOR":
			minor, _ = strconv.ParseUint(string(value), 10, 32)
		case "DISKSEQ":
			d.Sequence, _ = strconv.ParseUint(string(value), 10, 64)
		case "DEVTYPE":
			disk = string(value) == "disk"
		}
	}
	d.Number = unix.Mkdev(uint32(major), uint32(minor))
	return d, disk
}

// DiskOf is the disk that has a number now. Its Sequence is 0 if there is none.
func DiskOf(number uint64) Disk {
	text, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/diskseq", unix.Major(number), unix.Minor(number)))
	if err != nil {
		return Disk{Number: number}
	}
	sequence, _ := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
	return Disk{number, sequence}
}
