package probe

import (
	"context"
	"errors"
	"io"

	"thintree/volfs"
)

// Kind is what a volume is, in one word.
type Kind string

// The kinds of volumes.
const (
	KindFilesystem     Kind = "filesystem"
	KindContainer      Kind = "container" // what is in it is no filesystem: LVM2_member, crypto_LUKS, swap, …
	KindPartitionTable Kind = "partition_table"
	KindAmbivalent     Kind = "ambivalent" // several signatures
	KindEmpty          Kind = "empty"      // all that was read is zero
	KindUnknown        Kind = "unknown"    // data that nothing recognises
)

// Result is what is in a volume.
type Result struct {
	Kind Kind `json:"kind"`
	// Signatures are what was found: one for KindFilesystem and KindContainer,
	// several for KindAmbivalent, otherwise none.
	Signatures []Signature `json:"signatures,omitempty"`
	// Table is the partition table. A filesystem may have one too.
	Table *Table `json:"partition_table,omitempty"`
}

// Signature is what one superblock tells.
type Signature struct {
	// Type is blkid's name: "ext4", "LVM2_member", …
	Type string `json:"type"`
	// Version is the format's, as blkid spells it.
	Version string `json:"version,omitempty"`
	// Label is in UTF-8 for filesystems that say how they encode it, otherwise
	// the bytes on the disk.
	Label string `json:"label,omitempty"`
	UUID  string `json:"uuid,omitempty"`
	// SizeBytes is the length of the volume that the superblock was made for, 0
	// where it does not tell.
	SizeBytes int64 `json:"size_bytes,omitempty"`
}

// tinyBytes is up to where a volume counts as a floppy.
const tinyBytes = 1450 << 10

// Probe tells what is in a volume. With an error some of what decides could not
// be read (or the context ended), and the Result is what the rest tells.
func Probe(ctx context.Context, v volfs.Volume) (Result, error) {
	if _, err := v.NextData(ctx, 0); errors.Is(err, io.EOF) {
		return Result{Kind: KindEmpty}, ctx.Err()
	}
	p := newProber(ctx, v)
	head := heads.Get().(*[headBytes]byte)
	defer heads.Put(head)
	p.readHead(head)
	table := p.table()
	sigs, isRAID, container := p.signatures(table)
	if isRAID {
		table = nil
	}
	r := Result{Signatures: sigs, Table: table}
	switch {
	case len(sigs) > 1:
		r.Kind = KindAmbivalent
	case len(sigs) == 1 && container:
		r.Kind = KindContainer
	case len(sigs) == 1:
		r.Kind = KindFilesystem
	case table != nil:
		r.Kind = KindPartitionTable
	case p.nonzero || p.err != nil:
		r.Kind = KindUnknown
	default:
		r.Kind = KindEmpty
	}
	return r, p.err
}

// signatures goes through the formats in blkid's order, by its rules. container
// is about the first signature.
func (p *prober) signatures(table *Table) (sigs []Signature, isRAID, container bool) {
	if p.v.Size() <= 1024 {
		return nil, false, false
	}
	tiny := p.v.Size() <= tinyBytes
	p.partitions = table
	tolerant := true
	for _, f := range formats {
		if p.v.Size() < f.minSize || tiny && f.class == raid {
			continue
		}
		s := f.probe(p)
		if s == nil {
			continue
		}
		sigs = append(sigs, *s)
		tolerant = tolerant && f.tolerant
		if len(sigs) == 1 {
			isRAID, container = f.class == raid, f.class != filesystem
			if tiny {
				break
			}
		}
		if f.class == raid || f.class == crypto {
			break
		}
	}
	if len(sigs) > 1 && tolerant {
		sigs = sigs[:1]
	}
	return sigs, isRAID, container
}
