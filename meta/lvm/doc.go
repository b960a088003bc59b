// Package lvm is the source lvm:DISK[,DISK] or lvm:VG: volume groups of LVM2, on disks, partitions
// and images.
//
// # What is shown
//
// A volume's name is vg/lv. Thin volumes are devices of a pool, whose name is vg/pool. Other volumes
// are plain bytes: linear and striped ones, raid0, and raid1, of which the copy is taken that the
// kernel would read. Volumes of other types are listed, with why they cannot be read
// ([LostError]): the kernel is needed for them, a disk is missing, or their record is damaged. Volumes
// that LVM hides are parts of others, and are not listed; nor are pools.
//
// # What is read
//
// A disk has a label in one of its first four sectors. The label says where the metadata areas are. The
// header of an area says where its text is. The text describes the whole group, and all areas
// should have the same one. The newest text counts (the highest seqno), if its checksum is right.
// Texts of before remain in the area until they are overwritten: see [Generations].
//
// A whole disk may have partitions that are disks of a group. lvm.conf and the file of devices are not
// read: what is given, or what the host has, is what there is.
//
// # Source
//
// The format is defined by LVM2's source: lib/format_text/layout.h and format-text.c (label and areas),
// import_vsn1.c and flags.c (the text), and the segments' types in lib/striped, lib/raid, lib/thin,
// lib/snapshot. The superblock of a raid is that of the kernel's drivers/md/dm-raid.c.
package lvm
