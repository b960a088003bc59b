package main

import (
	"fmt"
	"os"
	"strings"
)

// pool makes the metadata of a pool whose data are one volume's image of some MiB, and
// names for volumes, whose ids begin with 1: each of them is the whole of it.
func (b *bench) pool(name string, mib int, volumes ...string) error {
	blocks := mib << 20 / (64 << 10)
	var xml, names strings.Builder
	fmt.Fprintf(&xml, `<superblock uuid="" time="0" transaction="1" flags="0" version="2" data_block_size="128" nr_data_blocks="%d">`, blocks)
	for i, volume := range volumes {
		fmt.Fprintf(&xml, "\n"+`<device dev_id="%d" mapped_blocks="%d" transaction="0" creation_time="0" snap_time="0"><range_mapping origin_begin="0" data_begin="0" length="%d" time="0"/></device>`, i+1, blocks, blocks)
		fmt.Fprintf(&names, "%d %d %s\n", i+1, mib<<20/512, volume)
	}
	xml.WriteString("</superblock>")
	if err := os.WriteFile(b.path(name+".xml"), []byte(xml.String()), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(b.path(name+".names"), []byte(names.String()), 0o644); err != nil {
		return err
	}
	return b.sh(fmt.Sprintf("truncate -s 256M %s.meta && thin_restore -q -i %[1]s.xml -o %[1]s.meta && rm %[1]s.xml", name))
}
