package thin

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"thintree/thin/dm"
	"thintree/thin/pdata"
)

// PoolMode is the mode that a pool is in.
type PoolMode string

// The modes of a pool, in the words of the kernel's status.
const (
	ModeReadWrite      PoolMode = "rw"
	ModeReadOnly       PoolMode = "ro"
	ModeOutOfDataSpace PoolMode = "out_of_data_space"
	ModeFailed         PoolMode = "Fail"  // its metadata could not be read or written
	ModeError          PoolMode = "Error" // its status could not be read
)

// PoolStatus is the kernel's status of an active pool. In the modes Fail and Error only the mode is
// set.
type PoolStatus struct {
	Mode PoolMode `json:"mode"`
	// TransactionID is described at [Pool.SetTransactionID].
	TransactionID uint64 `json:"transaction_id"`
	// A metadata block has 4096 bytes, a data block [Pool.BlockBytes].
	MetadataUsedBlocks  uint64 `json:"metadata_used_blocks"`
	MetadataTotalBlocks uint64 `json:"metadata_total_blocks"`
	DataUsedBlocks      uint64 `json:"data_used_blocks"`
	DataTotalBlocks     uint64 `json:"data_total_blocks"`
	// HeldRoot is the metadata block of the metadata snapshot, 0 if none is held.
	HeldRoot uint64 `json:"held_root"`
	// Discard is "discard_passdown", "no_discard_passdown" or "ignore_discard". Kernels
	// before 3.4 do not report it, nor the next two.
	Discard        string `json:"discard"`
	ErrorIfNoSpace bool   `json:"error_if_no_space"`
	NeedsCheck     bool   `json:"needs_check"`
	// MetadataLowWaterBlocks is the number of free metadata blocks at which the kernel has an
	// event. It is 0 if the kernel does not report it, as before 4.19.
	MetadataLowWaterBlocks uint64 `json:"metadata_low_water_blocks"`
}

// MetadataUsedBytes is how much of the metadata is in use, in bytes.
func (s PoolStatus) MetadataUsedBytes() int64 { return int64(s.MetadataUsedBlocks) * pdata.BlockBytes }

// MetadataTotalBytes is how much metadata the pool has room for, in bytes.
func (s PoolStatus) MetadataTotalBytes() int64 {
	return int64(s.MetadataTotalBlocks) * pdata.BlockBytes
}

// ParsePoolStatus parses a status line of the thin-pool target, of any kernel since 3.2. Newer
// kernels only add words at the end.
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

// Status returns the pool's status from the kernel. It does not make the pool commit.
func (p *Pool) Status(ctx context.Context) (PoolStatus, error) {
	_, s, err := p.status(ctx)
	return s, err
}

// status is the pool's status, and the state of its device.
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
