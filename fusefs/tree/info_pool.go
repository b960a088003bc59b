package tree

import (
	"context"

	"thintree/fusefs/volume"
)

// PoolInfo is the contents of pools/<pool>.json.
type PoolInfo struct {
	Name     string `json:"name"`
	Metadata string `json:"metadata"`
	Data     string `json:"data"`
	// Mode is "live" if somebody else has the pool active, and "offline" if nobody has.
	Mode string `json:"mode"`
	// LiveBy is the name of the device with which the pool is active.
	LiveBy             string   `json:"live_by,omitempty"`
	HeldRoot           bool     `json:"held_root"`
	NeedsCheck         bool     `json:"needs_check"`
	TransactionID      uint64   `json:"transaction_id"`
	DataBlockBytes     int64    `json:"data_block_bytes"`
	DataTotalBytes     int64    `json:"data_total_bytes"`
	DataUsedBytes      int64    `json:"data_used_bytes"`
	MetadataTotalBytes int64    `json:"metadata_total_bytes"`
	MetadataUsedBytes  int64    `json:"metadata_used_bytes"`
	Devices            int      `json:"devices"`
	OpenVolumes        int      `json:"open_volumes"`
	OpensTotal         int64    `json:"opens_total"`
	MaxActive          int      `json:"max_active"`
	Problems           []string `json:"problems,omitempty"`
}

// Pools describes all pools. It opens nothing.
func (t *Tree) Pools(ctx context.Context) []PoolInfo {
	var list []PoolInfo
	for _, s := range t.current(ctx).Sections {
		for _, p := range s.Pools {
			list = append(list, t.poolInfo(p.(*volume.Pool)))
		}
	}
	return list
}

func (t *Tree) poolInfo(p *volume.Pool) PoolInfo {
	u := p.Usage()
	by, live := p.Live()
	i := PoolInfo{
		Name: p.Name(), Metadata: p.Metadata(), Data: p.Data(), Mode: "offline",
		LiveBy: by, HeldRoot: t.opts.HeldRoot, NeedsCheck: u.NeedsCheck,
		TransactionID: u.TransactionID, DataBlockBytes: p.BlockBytes(),
		DataTotalBytes: u.DataTotalBytes, DataUsedBytes: u.DataUsedBytes,
		MetadataTotalBytes: u.MetadataTotalBytes, MetadataUsedBytes: u.MetadataUsedBytes,
		Devices: len(p.IDs()), OpensTotal: p.Opens(), MaxActive: t.leases.Max,
	}
	t.leases.Each(func(v *volume.Volume, _ *volume.Contents) {
		if v.Pool == p {
			i.OpenVolumes++
		}
	})
	if live {
		i.Mode = "live"
	}
	for _, err := range p.Problems() {
		i.Problems = append(i.Problems, err.Error())
	}
	return i
}
