package dm

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"thintree/thin/blockdev"
)

// Disk identifies one device-mapper device, from its first table to its removal.
type Disk struct {
	Number uint64 // as unix.Mkdev makes it
	// Sequence is the kernel's diskseq, which differs from that of an earlier device with
	// this number. It is 0 before Linux 5.15.
	Sequence uint64
}

// NewDisks collects new device-mapper devices from the kernel's messages about block
// devices (uevents). So it also sees devices that are gone before a program could list
// them. Its methods must not be called concurrently.
type NewDisks struct{ socket int }

// kernelGroup is the multicast group of the kernel's messages; udev's have another.
const kernelGroup = 1

// queueBytes is the length of the kernel's queue for the socket: enough for some thousand
// devices.
const queueBytes = 2 << 20

// WatchNewDisks opens the socket. Close it after use.
func WatchNewDisks() (*NewDisks, error) {
	const kind = unix.SOCK_RAW | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	socket, err := unix.Socket(unix.AF_NETLINK, kind, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	// Without CAP_NET_ADMIN the queue is as long as the system allows.
	if unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, queueBytes) != nil {
		unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_RCVBUF, queueBytes)
	}
	if err := unix.Bind(socket, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		unix.Close(socket)
		return nil, os.NewSyscallError("bind", err)
	}
	return &NewDisks{socket}, nil
}

// Close closes the socket.
func (n *NewDisks) Close() error { return unix.Close(n.socket) }

// Take returns the disks that came since the last call. It does not wait. lost says that
// the queue overflowed, so that others may have come.
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
			continue // not from the kernel
		}
		if d, ok := parseNewDisk(buf[:length]); ok {
			list = append(list, d)
		}
	}
}

// parseNewDisk reads a message: ACTION@PATH and then NAME=VALUE fields, each ended by a NUL
// (lib/kobject_uevent.c). ok says that the message is about a new device-mapper device.
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

// DiskOf returns the disk that has the number now. Its Sequence is 0 if there is none.
func DiskOf(number uint64) Disk {
	text, err := os.ReadFile(blockdev.Sysfs(number) + "/diskseq")
	if err != nil {
		return Disk{Number: number}
	}
	sequence, _ := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
	return Disk{number, sequence}
}
