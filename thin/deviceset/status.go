package deviceset

import (
	"context"
	"errors"
	"slices"

	"thintree/thin"
	"thintree/thin/dm"
)

// Status describes a store.
type Status struct {
	Store             string          `json:"store"`
	PoolName          string          `json:"pool_name"`
	Pool              thin.PoolStatus `json:"pool"`
	DataBlockBytes    int64           `json:"data_block_bytes"`
	BaseBytes         int64           `json:"base_bytes"`
	BaseUUID          string          `json:"base_uuid"`
	BaseFilesystem    string          `json:"base_filesystem"`
	Devices           int             `json:"devices"`
	DeletedDevices    int             `json:"deleted_devices"` // those of Devices that are marked for deletion
	DeferredRemoval   bool            `json:"deferred_removal"`
	DeferredDeletion  bool            `json:"deferred_deletion"`
	MinFreeDataBlocks uint64          `json:"min_free_data_blocks"`
	// Problems are damaged records, and reasons why the store cannot be changed.
	Problems []string `json:"problems,omitempty"`
	// Ignored are given options without effect, each with the reason.
	Ignored []string `json:"ignored,omitempty"`
}

// Status returns the status of the store, from the kernel and the records.
func (s *DeviceSet) Status(ctx context.Context) (Status, error) {
	pool, err := s.pool.Status(ctx)
	if err != nil {
		return Status{}, err
	}
	st := Status{
		Store: s.root, PoolName: s.pool.Name(), Pool: pool, DataBlockBytes: s.pool.BlockBytes(),
		DeferredRemoval: s.opts.DeferredRemoval, DeferredDeletion: s.opts.DeferredDeletion,
		MinFreeDataBlocks: pool.DataTotalBlocks * s.opts.MinFreePercent / 100,
	}
	for _, err := range s.problems {
		st.Problems = append(st.Problems, err.Error())
	}
	st.Ignored = slices.Clone(s.ignored)
	for _, hash := range s.List() {
		rec, ok := s.recordOf(hash)
		if !ok {
			continue // deleted meanwhile
		}
		st.Devices++
		if rec.Deleted {
			st.DeletedDevices++
		}
		if hash == "" {
			st.BaseBytes = rec.SizeBytes
		}
	}
	if err := s.turn.acquire(ctx); err != nil {
		return Status{}, err
	}
	if s.unsettled != nil {
		st.Problems = append(st.Problems, s.unsettled.Error())
	}
	st.BaseUUID, st.BaseFilesystem = s.set.BaseDeviceUUID, s.set.BaseDeviceFilesystem
	s.turn.release()
	return st, nil
}

// DeviceStatus describes a device of a store.
type DeviceStatus struct {
	Hash      string `json:"name"`
	DeviceID  uint32 `json:"device_id"`
	SizeBytes int64  `json:"size_bytes"`
	// RecordTransactionID is the pool's transaction id after the device's creation. The
	// pool's own metadata have the one before.
	RecordTransactionID uint64 `json:"record_transaction_id"`
	Deleted             bool   `json:"deleted"`
	Active              bool   `json:"active"`
	Suspended           bool   `json:"suspended"`
	// Path is the path of its node, "" if it is not active.
	Path string `json:"path,omitempty"`
	// MappedBytes is how many bytes have data, 0 if the device is not active.
	MappedBytes int64    `json:"mapped_bytes,omitempty"`
	Mounts      []string `json:"mounts,omitempty"`
}

// DeviceStatus returns the status of a device, from the kernel and the records.
func (s *DeviceSet) DeviceStatus(ctx context.Context, hash string) (DeviceStatus, error) {
	rec, ok := s.recordOf(hash)
	if !ok {
		return DeviceStatus{}, &NoDeviceError{hash}
	}
	st := DeviceStatus{
		Hash: hash, DeviceID: rec.ID, SizeBytes: rec.SizeBytes, RecordTransactionID: rec.TransactionID, Deleted: rec.Deleted,
	}
	info, kernel, err := s.kernel.DeviceStatus(ctx, s.name(hash))
	if errors.Is(err, dm.ErrNotFound) {
		return st, nil
	}
	if err != nil {
		return DeviceStatus{}, err
	}
	st.Active, st.Suspended, st.Path = true, info.Suspended, dm.NodePath(info.Number)
	st.MappedBytes = kernel.MappedBytes()
	st.Mounts, err = s.fs.mounts(info.Number)
	return st, err
}
