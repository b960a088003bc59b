package containerd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"go.etcd.io/bbolt"

	"thintree/meta"
	"thintree/thin/blockdev"
)

// The buckets of POOL.db.
const (
	keyDevices   = "devices"    // by name
	keyDeviceIDs = "device_ids" // by id, in decimal digits: if it is free
)

const (
	maxDeviceID  = 1<<24 - 1
	deviceIDFree = 0
)

// device is a device's record: DeviceInfo.
type device struct {
	DeviceID   *uint32     `json:"device_id"`
	Size       *uint64     `json:"size"` // bytes
	Name       string      `json:"name"`
	ParentName string      `json:"parent_name"`
	State      deviceState `json:"state"`
}

// deviceState is the step in a device's life that was begun or done last.
type deviceState int

// The states of devices.
const (
	stateUnknown deviceState = iota // it has an id, nothing else
	stateCreating
	stateCreated
	stateActivating
	stateActivated
	stateSuspending
	stateSuspended
	stateResuming
	stateResumed
	stateDeactivating
	stateDeactivated
	stateRemoving
	stateRemoved // it may still be there: async_remove deletes it later
	stateFaulty
)

// volumeState is what a state means for a volume. A device is activated right after its
// creation, as the last step of that. From then on the pool has all of it, also while it is
// activated, suspended, resumed or deactivated.
func (s deviceState) volumeState() meta.State {
	switch s {
	case stateUnknown, stateCreating, stateCreated:
		return meta.StateHalf
	case stateRemoving, stateRemoved:
		return meta.StateDeleted
	case stateFaulty:
		return meta.StateFaulty
	}
	return meta.StateNormal
}

// isPoolDB reports whether a database has devices.
func isPoolDB(db *database) (found bool, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		found = tx.Bucket([]byte(keyDevices)) != nil && tx.Bucket([]byte(keyDeviceIDs)) != nil
		return nil
	})
	return found, err
}

// readDevices reads the records of devices, by name. For each damaged record, damaged has an
// error.
func readDevices(ctx context.Context, db *database) (devices map[string]device, damaged []error, err error) {
	devices = make(map[string]device)
	byID := make(map[uint32][]string)
	err = db.View(func(tx *bbolt.Tx) error {
		ids := tx.Bucket([]byte(keyDeviceIDs))
		if db.Damage() != nil {
			ids = nil // it may lack the ids of valid records
		}
		return tx.Bucket([]byte(keyDevices)).ForEach(func(key, value []byte) error {
			name := string(key)
			d, err := parseDevice(name, value, ids)
			if err != nil {
				damaged = append(damaged, fmt.Errorf("%s: device %.80q: %w", db.path, name, err))
				return ctx.Err()
			}
			devices[name] = d
			byID[*d.DeviceID] = append(byID[*d.DeviceID], name)
			return ctx.Err()
		})
	})
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		names := byID[id]
		if len(names) == 1 {
			continue
		}
		damaged = append(damaged, fmt.Errorf("%s: devices %.80q and %.80q have the same id, %d", db.path, names[0], names[1], id))
		for _, name := range names {
			delete(devices, name)
		}
	}
	return devices, damaged, err
}

func parseDevice(name string, text []byte, ids *bbolt.Bucket) (device, error) {
	var d device
	if err := json.Unmarshal(text, &d); err != nil {
		return device{}, err
	}
	switch {
	case d.Name != name:
		return device{}, fmt.Errorf("this is the record of another one, %.80q", d.Name)
	case d.DeviceID == nil:
		return device{}, errors.New("no device_id")
	case d.Size == nil:
		return device{}, errors.New("no size")
	case *d.DeviceID > maxDeviceID:
		return device{}, fmt.Errorf("device_id %d is higher than %d, the highest that a pool can have", *d.DeviceID, maxDeviceID)
	case *d.Size%blockdev.SectorBytes != 0 || *d.Size > 1<<63-1:
		return device{}, fmt.Errorf("size %d is not a whole number of sectors of %d bytes", *d.Size, blockdev.SectorBytes)
	case d.State < stateUnknown || d.State > stateFaulty:
		return device{}, fmt.Errorf("the state %d is unknown", d.State)
	}
	if ids != nil {
		state := ids.Get([]byte(strconv.FormatUint(uint64(*d.DeviceID), 10)))
		if len(state) == 0 || state[0] == deviceIDFree {
			return device{}, fmt.Errorf("its id, %d, is free by the bucket %s", *d.DeviceID, keyDeviceIDs)
		}
	}
	return d, nil
}
