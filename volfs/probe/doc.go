// Package probe recognises the content of a volume: a filesystem, a container of
// something else (LVM, LUKS, RAID, swap, …), a partition table, or nothing.
//
// It has its own table of signatures. Names, labels and UUIDs are spelled as
// util-linux's blkid(8) spells them. `blkid -p` is the oracle of the tests, also for
// several signatures in one volume:
//
//   - A signature is more than its magic: checksums and sizes must fit.
//   - A RAID or encryption signature that comes first in the table is the answer.
//     It hides filesystem signatures behind it, and RAID also partition tables.
//   - Otherwise all are reported. If there is more than one, the volume is
//     [KindAmbivalent]: one of them is stale, and it is not known which. For ISO 9660
//     with UDF or HFS beside it the first is the answer.
//   - On volumes of at most 1450 KiB (floppies) the first is the answer.
//   - A filesystem or encryption may have a partition table beside it (a hybrid
//     ISO image, a stale table): both are reported.
//
// # What is read
//
// Probe reads the first 68 KiB; single blocks near the end (RAID 0.90 and 1.0, ZFS,
// NILFS2, and the backup GPT if the first is damaged); at 256 KiB (UFS, ZFS); and what a
// signature refers to (labels in root folders, boot records of logical partitions, GPT
// entries). It reads at most 1 MiB in 512 reads.
//
// Any bytes are safe: work, memory and the number of partitions are bounded.
//
// The sources are the on-disk structures of the Linux kernel (fs/, drivers/md,
// block/partitions), the UEFI specification (GPT), ECMA-119 and ECMA-167,
// Apple's TN1150, Microsoft's FAT and exFAT specifications, and the LUKS ones.
package probe
