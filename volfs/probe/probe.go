package probe

import (
	"context"
	"errors"
	"io"

	"thintree/volfs"
)

// Kind is the kind of content of a volume.
type Kind string

// The kinds of content.
const (
	KindFilesystem     Kind = "filesystem"
	KindContainer      Kind = "container" // of something other than files: LVM2_member, crypto_LUKS, swap, …
	KindPartitionTable Kind = "partition_table"
	KindAmbivalent     Kind = "ambivalent" // several signatures
	KindEmpty          Kind = "empty"      // all bytes that were read are zero
	KindUnknown        Kind = "unknown"    // data of no known format
)

// Result is the content of a volume.
type Result struct {
	Kind Kind `json:"kind"`
	// Signatures has one element for KindFilesystem and KindContainer, several for
	// KindAmbivalent, otherwise none.
	Signatures []Signature `json:"signatures,omitempty"`
	// Table is the partition table. A filesystem may have one too.
	Table *Table `json:"partition_table,omitempty"`
}

// Signature has the fields of a superblock.
type Signature struct {
	// Type is blkid's name: "ext4", "LVM2_member", …
	Type string `json:"type"`
	// Version is the format's, as blkid spells it.
	Version string `json:"version,omitempty"`
	// Label is in UTF-8 if the filesystem defines its encoding. Otherwise it is the bytes
	// on the disk.
	Label string `json:"label,omitempty"`
	UUID  string `json:"uuid,omitempty"`
	// SizeBytes is the length of the volume that the superblock was made for, 0 if the
	// superblock does not have it.
	SizeBytes int64 `json:"size_bytes,omitempty"`
}

// tinyBytes is the longest volume that counts as a floppy.
const tinyBytes = 1450 << 10

// Probe recognises the content of a volume. With an error, some of the bytes that decide
// could not be read, or the context ended; the Result is of the bytes that could be read.
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

// signatures looks for the formats in blkid's order, by its rules. isRAID and container are
// about the first signature.
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
