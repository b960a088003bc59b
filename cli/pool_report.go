package cli

import (
	"context"
	"fmt"

	"thintree/thin"
	"thintree/thin/deviceset"
	"thintree/thin/pdata"
)

// poolReport is thintree's report of an active pool. docs/json.md documents its JSON.
type poolReport struct {
	Name                  string        `json:"name"`
	Store                 string        `json:"store,omitempty"`
	Mode                  thin.PoolMode `json:"mode"`
	NeedsCheck            bool          `json:"needs_check"`
	TransactionID         uint64        `json:"transaction_id"`
	HeldRootBlock         uint64        `json:"held_root_block"`
	Metadata              string        `json:"metadata"`
	MetadataUsedBytes     int64         `json:"metadata_used_bytes"`
	MetadataTotalBytes    int64         `json:"metadata_total_bytes"`
	MetadataLowWaterBytes int64         `json:"metadata_low_water_bytes"`
	Data                  string        `json:"data"`
	DataUsedBytes         int64         `json:"data_used_bytes"`
	DataTotalBytes        int64         `json:"data_total_bytes"`
	DataLowWaterBytes     int64         `json:"data_low_water_bytes"`
	DataBlockBytes        int64         `json:"data_block_bytes"`
	SkipBlockZeroing      bool          `json:"skip_block_zeroing"`
	ErrorIfNoSpace        bool          `json:"error_if_no_space"`
	Discard               string        `json:"discard"`
	ActiveDevices         int           `json:"active_devices"`
	*storeReport
}

// storeReport is the additional part of a poolReport if the pool is that of a store.
type storeReport struct {
	Volumes        int      `json:"volumes"`
	DeletedVolumes int      `json:"deleted_volumes"`
	BaseSizeBytes  int64    `json:"base_size_bytes"`
	BaseFilesystem string   `json:"base_filesystem"`
	BaseUUID       string   `json:"base_uuid"`
	MinFreeBytes   int64    `json:"min_free_bytes"`
	Problems       []string `json:"problems,omitempty"`
}

func reportPool(ctx context.Context, p *thin.Pool) (poolReport, error) {
	st, err := p.Status(ctx)
	if err != nil {
		return poolReport{}, err
	}
	l, err := p.Layout(ctx)
	if err != nil {
		return poolReport{}, err
	}
	active, err := p.Active(ctx)
	if err != nil {
		return poolReport{}, err
	}
	block := p.BlockBytes()
	return poolReport{
		Name: p.Name(), Mode: st.Mode, NeedsCheck: st.NeedsCheck,
		TransactionID: st.TransactionID, HeldRootBlock: st.HeldRoot,
		Metadata:          l.Metadata,
		MetadataUsedBytes: st.MetadataUsedBytes(), MetadataTotalBytes: st.MetadataTotalBytes(),
		MetadataLowWaterBytes: int64(st.MetadataLowWaterBlocks) * pdata.BlockBytes,
		Data:                  l.Data,
		DataUsedBytes:         int64(st.DataUsedBlocks) * block, DataTotalBytes: int64(st.DataTotalBlocks) * block,
		DataLowWaterBytes: int64(l.LowWaterBlocks) * block, DataBlockBytes: block,
		SkipBlockZeroing: l.SkipBlockZeroing, ErrorIfNoSpace: st.ErrorIfNoSpace, Discard: st.Discard,
		ActiveDevices: len(active),
	}, nil
}

func reportStore(ctx context.Context, k *thin.Kernel, s *deviceset.DeviceSet) (poolReport, error) {
	r, err := reportPool(ctx, s.Pool())
	if err != nil {
		return poolReport{}, err
	}
	st, err := s.Status(ctx)
	if err != nil {
		return poolReport{}, err
	}
	r.Store = st.Store
	r.storeReport = &storeReport{
		Volumes: st.Devices, DeletedVolumes: st.DeletedDevices,
		BaseSizeBytes: st.BaseBytes, BaseFilesystem: st.BaseFilesystem, BaseUUID: st.BaseUUID,
		MinFreeBytes: int64(st.MinFreeDataBlocks) * st.DataBlockBytes, Problems: st.Problems,
	}
	return r, nil
}

func (r poolReport) print() {
	mode := string(r.Mode)
	if r.NeedsCheck {
		mode += ", needs_check is set: thintree pool deactivate, then use thin_check or thin_repair on the metadata"
	}
	heldRoot := "none"
	if r.HeldRootBlock != 0 {
		heldRoot = fmt.Sprint("metadata block ", r.HeldRootBlock)
	}
	lines := [][2]string{
		{"pool", r.Name},
		{"store", r.Store},
		{"mode", mode},
		{"data", used(r.Data, r.DataUsedBytes, r.DataTotalBytes)},
		{"metadata", used(r.Metadata, r.MetadataUsedBytes, r.MetadataTotalBytes)},
		{"data block", bytes(r.DataBlockBytes)},
		{"transaction id", fmt.Sprint(r.TransactionID)},
		{"held root", heldRoot},
		{"active devices", fmt.Sprint(r.ActiveDevices)},
	}
	if s := r.storeReport; s != nil {
		volumes := fmt.Sprint(s.Volumes)
		if s.DeletedVolumes > 0 {
			volumes += fmt.Sprintf(", %d of them to be deleted", s.DeletedVolumes)
		}
		base := "none"
		if s.BaseFilesystem != "" {
			base = fmt.Sprintf("%s, %s, UUID %s", bytes(s.BaseSizeBytes), s.BaseFilesystem, s.BaseUUID)
		}
		lines = append(lines, [2]string{"volumes", volumes}, [2]string{"base", base})
	}
	table(lines...)
}

func used(path string, part, whole int64) string {
	if whole == 0 {
		return path
	}
	return fmt.Sprintf("%s (%s of %s used, %.1f %%)", path, bytes(part), bytes(whole), 100*float64(part)/float64(whole))
}
