// Package dm is a client of device-mapper: the ioctls of /dev/mapper/control.
//
// A device-mapper device has a name, perhaps a UUID, and a table of targets, each
// for a range of its 512-byte sectors. It is made in three steps (create, load a
// table, resume) and goes with remove; [Client.Activate] and [Client.Deactivate]
// do the whole of it, also with udev and with device nodes. Errors are *[Error].
//
// The interface is that of the kernel's include/uapi/linux/dm-ioctl.h; the
// targets' tables, messages and status lines are in its
// Documentation/admin-guide/device-mapper.
package dm
