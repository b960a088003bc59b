package main

import (
	"bytes"
	"fmt"
	"os"
)

// dataBlockBytes is the length of a data block.
const dataBlockBytes = 64 << 10

// pool makes the metadata of a pool whose data are one volume's image of some MiB, and
// names for volumes, whose ids begin with 1: each of them is the whole of it.
func (b *bench) pool(name string, mib int, volumes ...string) error {
	var names bytes.Buffer
	for i, volume := range volumes {
		fmt.Fprintf(&names, "%d %d %s\n", i+1, mib<<20/512, volume)
	}
	if err := os.WriteFile(b.path(name+".names"), names.Bytes(), 0o644); err != nil {
		return err
	}
	if err := b.sh(fmt.Sprintf("truncate -s %dM %s.meta", metadataMiB(len(volumes)), name)); err != nil {
		return err
	}
	return b.restore(name+".meta", mib, len(volumes))
}

// metadataMiB is how long the metadata of so many volumes must be.
func metadataMiB(volumes int) int { return 128 + volumes/64 }

// restore writes the metadata of a pool to a file or device.
func (b *bench) restore(to string, mib, volumes int) error {
	blocks := mib << 20 / dataBlockBytes
	var xml bytes.Buffer
	fmt.Fprintf(&xml, `<superblock uuid="" time="0" transaction="1" flags="0" version="2" data_block_size="%d" nr_data_blocks="%d">`, dataBlockBytes/512, blocks)
	for id := range volumes {
		fmt.Fprintf(&xml, "\n"+`<device dev_id="%d" mapped_blocks="%d" transaction="0" creation_time="0" snap_time="0"><range_mapping origin_begin="0" data_begin="0" length="%d" time="0"/></device>`, id+1, blocks, blocks)
	}
	xml.WriteString("</superblock>")
	if err := os.WriteFile(b.path("pool.xml"), xml.Bytes(), 0o644); err != nil {
		return err
	}
	return b.sh("thin_restore -q -i pool.xml -o " + to + " && rm pool.xml")
}
