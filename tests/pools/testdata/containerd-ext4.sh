#!/bin/bash
# containerd-ext4.sh DIR makes a pool of the shape of containerd-ext4 in DIR/ctd.
#
# containerd 1.6 with the devmapper snapshotter made the archive, and only containerd writes its
# databases (ctd/root). This script makes the two halves of the pool with dmsetup and
# mkfs: the same devices, each a snapshot of the same one as in the archive, in the same
# order. There are no names of snapshots and containers. The files in the devices are others.
set -eu
cd "$1"
here=$(dirname "$(realpath "$0")")
# shellcheck source=thinpool.bash
. "$here/thinpool.bash"

mib=512
mkdir ctd
start ctd/meta 64 ctd/data 4096

# image FIRST makes the two layers of an image, the devices FIRST and FIRST+1.
image() {
	thin "$1"
	format "$1" $mib
	inside "$1" $mib system .
	snap $(($1 + 1)) "$1"
	inside $(($1 + 1)) $mib application .
}
image 1
snap 3 2
inside 3 $mib touch app/third
snap 4 3
snap 5 3
inside 5 $mib mkdir run
image 6
snap 8 7
snap 9 6
