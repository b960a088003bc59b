#!/bin/bash
# docker-ext4.sh DIR makes a pool of the shape of docker-ext4 in DIR/docker.
#
# Docker 20.10 made the archive, and only Docker writes the whole of its root. This script
# makes docker/devicemapper: the pool with dmsetup and mkfs, with the same devices at the same
# transactions, and the records that the devicemapper driver keeps of them. There are no
# records of images and containers. The files in the volumes are others.
set -eu
cd "$1"
here=$(dirname "$(realpath "$0")")
# shellcheck source=thinpool.bash
. "$here/thinpool.bash"

mib=1024
base1=622ffbffe25c76e8242bfdb646d7ea1c35a76df60390be769033e92ce4636353
web1=fac5adfcea0602bf0a1c2218ed1eb461ccbfbba74e49d099eb7847203257aee1
web2=7142713d95333654aca9df726cee3e776bee6a31b2ee6d361fd013ed062b5d20
stopped=d89cdbc0cd6d1866fffa634c6bf44f358714dd170368e7a72bb796c2dfd286f2
ran=ed481cbae34f670246e25991d5d4e2cb30ac1639f184060c42be26e4ba25c8ed
created=3d302c1317c9b31fc7fd0ec33e0b0f09a69c842eab1c139ae7a8cf0fc23d5aa9

records=docker/devicemapper/metadata
mkdir -p $records docker/devicemapper/{devicemapper,mnt}

# record NAME ID INITIALIZED writes the record of a device that was made just now.
record() {
	printf '{"device_id":%d,"size":%d,"transaction_id":%d,"initialized":%s,"deleted":false}' \
		"$2" $((mib << 20)) $((transaction + 1)) "$3" >"$records/$1"
}

# layer TRANSACTION NAME ID ORIGIN makes the volume of a layer or of a container.
layer() {
	reach "$1"
	snap "$3" "$4"
	record "$2" "$3" false
}

# passing FIRST LAST ORIGIN makes volumes and deletes them, as a build does.
passing() {
	local id
	for id in $(seq "$1" "$2"); do
		snap "$id" "$3"
		message delete "$id"
	done
}

start docker/devicemapper/devicemapper/metadata 64 docker/devicemapper/devicemapper/data 4096
thin 1
format 1 $mib
record base 1 true
layer 1 $base1 2 1
inside 2 $mib system rootfs
passing 3 3 2
layer 3 $web1 4 2
inside 4 $mib application rootfs
passing 5 6 4
layer 7 $web2 7 4
inside 7 $mib touch rootfs/third
passing 8 10 7
layer 16 $stopped-init 11 7
layer 17 $stopped 12 11
inside 12 $mib touch rootfs/written
layer 18 $ran-init 13 7
layer 19 $ran 14 13
inside 14 $mib touch rootfs/written
passing 15 18 2
layer 28 $created-init 19 2
layer 29 $created 20 19
reach 30

printf '{"next_device_id":20,"BaseDeviceUUID":"%s","BaseDeviceFilesystem":"ext4"}' \
	"$uuid" >$records/deviceset-metadata
printf '{"open_transaction_id":30,"device_hash":"%s","device_id":20}' $created >$records/transaction-metadata
