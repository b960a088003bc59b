package guest

import (
	"fmt"
	"path/filepath"
	"testing"
)

// TestTransactionIDIsThePools compares what each command says of a volume.
func TestTransactionIDIsThePools(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		type told struct {
			Name                string  `json:"name"`
			DeviceID            uint32  `json:"device_id"`
			MappedBytes         int64   `json:"mapped_bytes"`
			TransactionID       uint64  `json:"transaction_id"`
			RecordTransactionID *uint64 `json:"record_transaction_id"`
		}
		dir := mounted(t, loop(t, filepath.Join(t.TempDir(), "disk"), 256*mib))
		store := "store:" + filepath.Join(dir, "store")
		tell(t, "pool", "create", store, "--opt", "dm.basesize=32M", "--opt", "dm.loopdatasize=64M", "--opt", "dm.loopmetadatasize=2M")
		created := map[string]told{}
		for _, name := range []string{"one", "two"} {
			created[name] = asJSON[told](t, "volume", "create", store, name)
		}
		created["three"] = asJSON[told](t, "volume", "snapshot", store, "one", "three")
		for i, v := range asJSON[[]told](t, "volume", "ls", store) {
			info := asJSON[told](t, "info", store, v.Name)
			if v.TransactionID != info.TransactionID || v.RecordTransactionID == nil || *v.RecordTransactionID != v.TransactionID+1 {
				t.Errorf("%d: %+v, and info has %+v", i, v, info)
			}
			if c, ok := created[v.Name]; ok && (c.TransactionID != v.TransactionID || c.RecordTransactionID == nil || *c.RecordTransactionID != *v.RecordTransactionID || c.MappedBytes != v.MappedBytes) {
				t.Errorf("when it was made %+v was told, and now %+v", c, v)
			}
		}
		metadata, data := filepath.Join(dir, "m"), filepath.Join(dir, "d")
		tell(t, "pool", "create", "vault", metadata, data, "--data-size", "64M")
		tell(t, "volume", "create", "vault", "7")
		tell(t, "volume", "activate", "vault", "7", "seven", "--size", "16M")
		sh(t, "dd if=/dev/urandom of=/dev/mapper/seven bs=1M count=2 oflag=direct status=none && dmsetup message vault 0 'set_transaction_id 0 5'")
		snapshot := asJSON[told](t, "volume", "snapshot", "vault", "7", "8")
		active := asJSON[told](t, "volume", "activate", "vault", "8", "eight", "--size", "16M")
		if snapshot.TransactionID != 5 || snapshot.MappedBytes != 2*mib || snapshot.RecordTransactionID != nil || active.TransactionID != 5 {
			t.Errorf("%+v, active %+v", snapshot, active)
		}
		for _, v := range asJSON[[]told](t, "volume", "ls", "vault") {
			if info := asJSON[told](t, "info", "pool:"+metadata+","+data, fmt.Sprint("@", v.DeviceID)); v.TransactionID != info.TransactionID {
				t.Errorf("%+v, and info has %+v", v, info)
			}
		}
		sh(t, "dmsetup remove seven eight")
		tell(t, "pool", "deactivate", "vault")
	})
}
