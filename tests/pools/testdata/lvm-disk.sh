#!/bin/bash
# lvm-disk.sh DIR makes a disk of the shape of lvm-disk: DIR/disk.img.
#
# LVM 2.03 made the archive, and makes this disk: the package lvm2 must be there. Besides
# it needs root, device-mapper with thin pools, loop devices, sfdisk, mkfs.ext4 and mkfs.xfs.
# UUIDs and times are others than in the archive, and some files.
set -eu
cd "$1"
at=$(mktemp -d)

finish() {
	set +e
	umount "$at"
	[ ! -e /dev/mapper/part ] || dmsetup remove --retry part
	lvm vgchange -an vg0
	losetup -d "$disk"
	rmdir "$at"
} >/dev/null 2>&1
trap finish EXIT

# lvm runs LVM on the disk alone, without udev and without daemons.
lvm() {
	local config='devices { scan=["/dev"] filter=["a|^'$disk'$|","r|.*|"] obtain_device_list_from_udev=0 use_devicesfile=0 }
		activation { udev_sync=0 udev_rules=0 monitoring=0 } backup { backup=0 archive=0 } global { locking_dir="'$at'" }'
	command lvm "$@" --config "$config" >/dev/null
}

# inside VOLUME COMMAND [ARG...] runs a command in a mounted volume of the group.
inside() {
	mount "/dev/mapper/$1" "$at"
	(cd "$at" && "${@:2}")
	umount "$at"
}

truncate -s 2G disk.img
disk=$(losetup --find --show disk.img)
lvm pvcreate "$disk"
lvm vgcreate vg0 "$disk"
lvm lvcreate -y -n linear -L 64M vg0
lvm lvcreate -y --type thin-pool -n pool0 -L 1G --poolmetadatasize 16M --chunksize 128K vg0
lvm lvcreate -y -n root -V 500M --thinpool pool0 vg0
mkfs.ext4 -q /dev/mapper/vg0-root
inside vg0-root bash -c 'mkdir apt; echo 1 >v1.txt'

lvm lvcreate -y -n vm-100-disk-0 -V 1G --thinpool pool0 vg0
whole=/dev/mapper/vg0-vm--100--disk--0
sfdisk -q --no-reread --no-tell-kernel "$whole" <<-'END'
	label: gpt
	start=2048, size=8192, type=21686148-6449-6E6F-744E-656564454649
	start=10240, size=614400, type=L, name=boot
	start=624640, size=614400, type=L, name=data
END
dmsetup create part --table "0 614400 linear $whole 10240"
mkfs.ext4 -q /dev/mapper/part
inside part bash -c 'echo boot >boot.txt'
dmsetup remove --retry part

lvm lvcreate -y -s -n root-snap1 vg0/root
inside vg0-root bash -c 'rm v1.txt; echo 2 >v2.txt'
lvm lvcreate -y -s -n root-snap2 vg0/root
lvm lvcreate -y -n xfsvol -V 400M --thinpool pool0 vg0
mkfs.xfs -q /dev/mapper/vg0-xfsvol
inside vg0-xfsvol bash -c 'echo xfs >file'
