#!/bin/bash
# storage-ext4.sh DIR makes a pool of the shape of storage-ext4 in DIR/storage.
#
# containers-storage 1.43 made the archive. It is not needed here: this script makes the two
# halves of the pool with dmsetup and mkfs, and writes the records that the program keeps of
# devices, layers, images and containers. It makes no locks and no empty folders. The files in
# the volumes are others.
set -eu
cd "$1"
here=$(dirname "$(realpath "$0")")
# shellcheck source=thinpool.bash
. "$here/thinpool.bash"

mib=512
base=558fbc486b340aa4a90009d2d50a2a82b51f7a1c58d00010ff7b8e29ff26576b
web=34f4374ae9a6087537a3b210311565edfef2f59db210ed2b7eae84d2b5531122
running=a20afe0d0ab10b92c558f29cf06bf4aa1f694c87f66f7573188376687d6e326a
idle=4df0461a691dd38a31376ee46b8ce21d41e56094522c5d39ab6244e51c888c29
baseImage=78e7c8f0329926b3dfd28de1971f308072d574a739b3338ab4d939d50926e8fe
webImage=6d224353d1f0125c8508a86156ae25a9bfeb5c7ed1d63012572e7def2955bc0f

root=storage/root
mkdir -p $root/devicemapper/metadata $root/devicemapper-{layers,images,containers}

# record NAME ID INITIALIZED writes the record of a device that was made just now.
record() {
	printf '{"device_id":%d,"size":%d,"transaction_id":%d,"initialized":%s,"deleted":false}' \
		"$2" $((mib << 20)) $((transaction + 1)) "$3" >"$root/devicemapper/metadata/$1"
	reach $((transaction + 1))
}

# layer NAME ID ORIGIN makes the volume of a layer.
layer() {
	snap "$2" "$3"
	record "$1" "$2" false
}

start storage/meta 64 storage/data 2048
thin 1
format 1 $mib
record base 1 true
layer $base 2 1
inside 2 $mib system rootfs
layer $web 3 2
inside 3 $mib application rootfs
layer $running 4 3
inside 4 $mib touch rootfs/written
layer $idle 5 2

now=$(date -u +%FT%T.%NZ)
printf '{"next_device_id":1,"BaseDeviceUUID":"%s","BaseDeviceFilesystem":"ext4"}' \
	"$uuid" >$root/devicemapper/metadata/deviceset-metadata
printf '{"open_transaction_id":5,"device_hash":"%s","device_id":5}' $idle >$root/devicemapper/metadata/transaction-metadata
cat >$root/devicemapper-layers/layers.json <<-END
	[{"id":"$base","created":"$now"},
	{"id":"$web","parent":"$base","created":"$now"},
	{"id":"$running","parent":"$web","created":"$now"},
	{"id":"$idle","parent":"$base","created":"$now"}]
END
cat >$root/devicemapper-images/images.json <<-END
	[{"id":"$baseImage","names":["localhost/base:1"],"layer":"$base","created":"$now"},
	{"id":"$webImage","names":["localhost/web:2","localhost/web:latest"],"layer":"$web","created":"$now"}]
END
cat >$root/devicemapper-containers/containers.json <<-END
	[{"id":"fada1fcd543b87e38df6765398891639ba71e94c34006135324d96889d96b40e","names":["web-1"],"image":"$webImage","layer":"$running","created":"$now"},
	{"id":"0dbf60aa816bab1050d52b1ccfe0c37fee8c4e2396582f272aa7464a3c3ecafd","names":["idle"],"image":"$baseImage","layer":"$idle","created":"$now"}]
END
