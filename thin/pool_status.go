package thin

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"thintree/thin/dm"
	"thintree/thin/pdata"
)

// PoolMode is what a pool can do just now.
type PoolMode string

// The modes of a pool, as the kernel's status has them.
const (
	ModeReadWrite      PoolMode = "rw"
	ModeReadOnly       PoolMode = "ro"
	ModeOutOfDataSpace PoolMode = "out_of_data_space"
	ModeFailed         PoolMode = "Fail"  // its metadata could not be read or written
	ModeError          PoolMode = "Error" // it cannot even tell its status
)

// PoolStatus is what the kernel tells of an active pool. In the modes Fail and
// Error there is nothing but the mode.
type PoolStatus struct {
	Mode PoolMode `json:"mode"`
	// TransactionID is for who keeps records of the pool: see SetTransactionID.
	TransactionID uint64 `json:"transaction_id"`
	// Blocks of metadata have 4096 bytes; those of data BlockSectors of the pool.
	MetadataUsedBlocks  uint64 `json:"metadata_used_blocks"`
	MetadataTotalBlocks uint64 `json:"metadata_total_blocks"`
	DataUsedBlocks      uint64 `json:"data_used_blocks"`
	DataTotalBlocks     uint64 `json:"data_total_blocks"`
	// HeldRoot is the metadata block of the metadata snapshot, 0 where none is
	// held.
	HeldRoot uint64 `json:"held_root"`
	// Discard is "discard_passdown", "no_discard_passdown" or "ignore_discard";
	// kernels before 3.4 do not tell it, as the two below.
	Discard        string `json:"discard"`
	ErrorIfNoSpace bool   `json:"error_if_no_space"`
	NeedsCheck     bool   `json:"needs_check"`
	// MetadataLowWaterBlocks is how many free metadata blocks the kernel warns at;
	// 0 where it does not tell, as before 4.19.
	MetadataLowWaterBlocks uint64 `json:"metadata_low_water_blocks"`
}

// MetadataUsedBytes is how much of the metadata is in use.
func (s PoolStatus) MetadataUsedBytes() int64 { return int64(s.MetadataUsedBlocks) * pdata.BlockBytes }

// MetadataTotalBytes is how much metadata there can be.
func (s PoolStatus) MetadataTotalBytes() int64 {
	return int64(s.MetadataTotalBlocks) * pdata.BlockBytes
}

// ParsePoolStatus reads a status of the thin-pool target, of any kernel since
// 3.2: the line grew at its end.
func ParsePoolStatus(params string) (PoolStatus, error) {
	words := strings.Fields(params)
	if len(words) == 1 && (words[0] == string(ModeFailed) || words[0] == string(ModeError)) {
		return PoolStatus{Mode: PoolMode(words[0])}, nil
	}
	bad := fmt.Errorf("thin-pool status %q: not understood", params)
	if len(words) < 4 {
		return PoolStatus{}, bad
	}
	s := PoolStatus{Mode: ModeReadWrite}
	var ok [4]bool
	s.TransactionID, ok[0] = number(words[0])
	s.MetadataUsedBlocks, s.MetadataTotalBlocks, ok[1] = fraction(words[1])
	s.DataUsedBlocks, s.DataTotalBlocks, ok[2] = fraction(words[2])
	s.HeldRoot, ok[3] = number(words[3])
	if words[3] == "-" {
		ok[3] = true
	}
	if ok != [4]bool{true, true, true, true} {
		return PoolStatus{}, bad
	}
	for _, w := range words[4:] {
		switch w {
		case string(ModeReadWrite), string(ModeReadOnly), string(ModeOutOfDataSpace):
			s.Mode = PoolMode(w)
		case "discard_passdown", "no_discard_passdown", "ignore_discard":
			s.Discard = w
		case "error_if_no_space":
			s.ErrorIfNoSpace = true
		case "needs_check":
			s.NeedsCheck = true
		default:
			if n, ok := number(w); ok {
				s.MetadataLowWaterBlocks = n
			}
		}
	}
	return s, nil
}

func number(text string) (uint64, bool) {
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil
}

func fraction(text string) (part, whole uint64, ok bool) {
	a, b, _ := strings.Cut(text, "/")
	part, ok = number(a)
	whole, ok2 := number(b)
	return part, whole, ok && ok2
}

// Status asks the kernel. It makes the pool commit nothing.
func (p *Pool) Status(ctx context.Context) (PoolStatus, error) {
	_, s, err := p.status(ctx)
	return s, err
}

// status is the pool's status, with what its device was like just before.
func (p *Pool) status(ctx context.Context) (dm.Info, PoolStatus, error) {
	info, targets, err := p.kernel.dm.Status(ctx, p.name)
	if err != nil {
		return info, PoolStatus{}, err
	}
	if len(targets) != 1 || targets[0].Type != poolTarget {
		return info, PoolStatus{}, fmt.Errorf("%s: %w", p.name, ErrNoPool)
	}
	s, err := ParsePoolStatus(targets[0].Params)
	if err != nil {
		return info, PoolStatus{}, fmt.Errorf("%s: %w", p.name, err)
	}
	return info, s, nil
}
