# Functions of the scripts beside this file: a new thin pool on two sparse files, and devices
# in it. They need root, device-mapper with thin pools, and loop devices. Everything that they
# activate is removed when the script ends, also if it fails.

pool=thintree-made-$$      # the pool's name in device-mapper
device=$pool-device        # the name of the device that is active
at=$(mktemp -d)            # where a device is mounted
transaction=0              # the pool's transaction id
uuid=$(</proc/sys/kernel/random/uuid) # of the filesystems
loops=()

# start METADATA MIB DATA MIB makes the files and activates a pool on them. Its data blocks
# have 64 KiB.
start() {
	truncate -s "$2M" "$1"
	truncate -s "$4M" "$3"
	local file
	for file in "$1" "$3"; do
		loops+=("$(losetup --find --show "$file")")
	done
	dmsetup create "$pool" --table "0 $(blockdev --getsz "${loops[1]}") thin-pool ${loops[*]} 128 0"
}

message() { dmsetup message "$pool" 0 "$*"; }

# thin ID makes an empty device, and snap ID ORIGIN a snapshot of one that is not active.
thin() { message create_thin "$1"; }
snap() { message create_snap "$1" "$2"; }

# reach N sets the pool's transaction id. A device keeps the id of when it was made.
reach() {
	[ "$1" = "$transaction" ] || message set_transaction_id "$transaction" "$1"
	transaction=$1
}

# format ID MIB makes an ext4 filesystem on a device.
format() {
	dmsetup create "$device" --table "0 $(($2 * 2048)) thin /dev/mapper/$pool $1"
	mkfs.ext4 -q -U "$uuid" -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 "/dev/mapper/$device"
	dmsetup remove --retry "$device"
}

# inside ID MIB COMMAND [ARG...] runs a command in a mounted device.
inside() {
	dmsetup create "$device" --table "0 $(($2 * 2048)) thin /dev/mapper/$pool $1"
	mount "/dev/mapper/$device" "$at"
	(cd "$at" && "${@:3}")
	umount "$at"
	dmsetup remove --retry "$device"
}

# system FOLDER fills a folder with what a small image has.
system() {
	mkdir -p "$1"/{bin,dev,etc,proc,sys,tmp}
	chmod 1777 "$1/tmp"
	printf 'root:x:0:0:root:/root:/bin/sh\n' >"$1/etc/passwd"
	cp --sparse=never /bin/true "$1/bin/true"
	ln "$1/bin/true" "$1/bin/false"
	ln -s true "$1/bin/link"
}

# application FOLDER adds what a layer over that has.
application() {
	mkdir -p "$1/app"
	head -c 3000000 /dev/urandom >"$1/app/data"
	printf 'second layer\n' >"$1/app/version"
}

finish() {
	set +e
	umount "$at"
	dmsetup remove --retry "$device"
	dmsetup remove --retry "$pool"
	local loop
	for loop in "${loops[@]}"; do
		losetup -d "$loop"
	done
	rmdir "$at"
} 2>/dev/null
trap finish EXIT
