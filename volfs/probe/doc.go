// Package probe recognises what is in a volume: a filesystem, a container of
// something else (LVM, LUKS, RAID, swap, …), a partition table, or nothing.
//
// It has its own table of signatures. Names, labels and UUIDs are spelled as
// util-linux's blkid(8) spells them, and `blkid -p` is the oracle, its rule for
// several signatures in one volume included:
//
//   - A signature is more than its magic: checksums and sizes must fit.
//   - A RAID or encryption signature that comes first in the table is the answer.
//     It hides filesystem signatures behind it, and RAID also partition tables.
//   - Otherwise all are reported, and where there is more than one the volume is
//     [KindAmbivalent]: one of them is stale, and nobody can tell which. ISO 9660
//     with UDF or HFS beside it is no such case: the first is the answer.
//   - On volumes of at most 1450 KiB, floppies, the first is the answer.
//   - A filesystem or encryption may have a partition table beside it (a hybrid
//     ISO image, a stale table): both are reported.
//
// # What is read
//
// The first 68 KiB; single blocks near the end (RAID 0.90 and 1.0, ZFS, NILFS2,
// the backup GPT where the first is damaged); at 256 KiB (UFS, ZFS); and where a
// signature is found what it refers to (labels in root folders, boot records of
// logical partitions, GPT entries): at most 1 MiB and 512 reads in all.
//
// Any bytes are safe: work, memory and the number of partitions are bounded.
//
// The sources are the on-disk structures of the Linux kernel (fs/, drivers/md,
// block/partitions), the UEFI specification (GPT), ECMA-119 and ECMA-167,
// Apple's TN1150, Microsoft's FAT and exFAT specifications, and the LUKS ones.
package probe
