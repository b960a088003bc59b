package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// largePool measures opening a pool of 2 million mappings, beside the programs
// that read the same metadata.
func (b *bench) largePool() error {
	const devices, mappings = 20, 100000
	f, err := os.Create(b.path("large.xml"))
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	fmt.Fprintf(w, `<superblock uuid="" time="0" transaction="1" flags="0" version="2" data_block_size="128" nr_data_blocks="%d">`, devices*mappings*2)
	for id := range devices {
		fmt.Fprintf(w, "\n"+`<device dev_id="%d" mapped_blocks="%d" transaction="0" creation_time="0" snap_time="0">`, id+1, mappings)
		for m := range mappings {
			// Every other block, so that no two mappings are one run.
			fmt.Fprintf(w, `<single_mapping origin_block="%d" data_block="%d" time="0"/>`, m, (id*mappings+m)*2)
		}
		fmt.Fprint(w, "</device>")
	}
	fmt.Fprint(w, "</superblock>")
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := b.sh("truncate -s 256M large.meta && thin_restore -q -i large.xml -o large.meta && rm large.xml && truncate -s 256G large.data"); err != nil {
		return err
	}
	source := "pool:" + b.path("large.meta") + "," + b.path("large.data")
	ours := func() error { return exec.Command(b.program, "ls", source).Run() }
	for _, peer := range []string{"thin_ls", "thin_dump"} {
		a, p, err := pair(5, dropCaches, ours, func() error { return exec.Command(peer, b.path("large.meta")).Run() })
		if err != nil {
			return err
		}
		b.row(fmt.Sprintf("thintree ls of a pool of %d mappings, cold", devices*mappings), a, p, peer, "≤ 100ms", a <= 100*time.Millisecond)
	}
	return nil
}
