// Package dm is a client of device-mapper: the ioctls of /dev/mapper/control.
//
// A device-mapper device has a name, optionally a UUID, and a table of targets. Each target
// serves a range of the device's sectors of 512 bytes. A device is made in three steps:
// create, load a table, resume. Remove ends it. [Client.Activate] and [Client.Deactivate]
// do all the steps, and also take care of udev and of device nodes. Errors are *[Error].
//
// The client has a method for every command about devices and their tables. Rename, Clear,
// Deps, Version and TargetVersions have no caller in this program: tests use them to
// compare package dmtest with the kernel.
//
// The interface is the kernel's include/uapi/linux/dm-ioctl.h. Its
// Documentation/admin-guide/device-mapper describes the tables, messages and status lines
// of the targets.
package dm
