package dmtest

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"thintree/thin/blockdev"
)

func (t *poolTarget) table() string {
	words := fmt.Sprintf("%s %s %d %d ", blockdev.Text(t.pool.metadataNumber), blockdev.Text(t.pool.dataNumber), t.pool.metadata.blockSectors, t.lowWater)
	count, rest := 0, ""
	for _, f := range t.all() {
		if *f.set {
			count++
			rest += f.word + " "
		}
	}
	return words + strconv.Itoa(count) + " " + rest
}

// heldRoot is the block of the metadata snapshot that a status shows.
const heldRoot = "7"

func (t *poolTarget) status() string {
	p, m := t.pool, t.pool.metadata
	if p.mode == Failed {
		return string(Failed)
	}
	total := t.kernel.metadataBlocks(p)
	words := []string{
		strconv.FormatUint(m.transactionID, 10),
		// Used blocks: a tenth is reserved, the trees and space maps are small.
		fmt.Sprintf("%d/%d", min(4096, total/10)+9+uint64(len(m.thins)), total),
		fmt.Sprintf("%d/%d", len(m.users), m.dataBlocks),
		"-", string(p.mode), "discard_passdown", "queue_if_no_space", "-",
		strconv.FormatUint(min(1024, total/4), 10),
	}
	if m.held != nil {
		words[3] = heldRoot
	}
	f := p.bound
	switch {
	case f.ignoreDiscard:
		words[5] = "ignore_discard"
	case f.noPassdown:
		words[5] = "no_discard_passdown"
	}
	if f.errorIfNoSpace {
		words[6] = "error_if_no_space"
	}
	if m.needsCheck {
		words[7] = "needs_check"
	}
	return strings.Join(words, " ") + " "
}

// metadataBlocks is the length of the metadata device in blocks of 4 KiB.
func (k *Kernel) metadataBlocks(p *pool) uint64 {
	sectors, ok := k.sectors(p.metadataNumber)
	if !ok {
		sectors = defaultMetadata
	}
	return min(sectors, math.MaxUint32) / metadataBlockSectors
}
