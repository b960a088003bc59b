package record

import (
	"fmt"

	"thintree/thin/blockdev"
)

// Device is the record of a device: devInfo in Docker's deviceset.go.
type Device struct {
	// ID is the device's id in the pool, 0 to 1<<24-1.
	ID uint32 `json:"device_id"`
	// SizeBytes is the device's length in bytes, a multiple of 512.
	SizeBytes int64 `json:"size"`
	// TransactionID is the pool's transaction id after the device's creation.
	TransactionID uint64 `json:"transaction_id"`
	// Initialized says that a filesystem was made on the device. It is true for the base
	// device only: other devices are snapshots with its filesystem.
	Initialized bool `json:"initialized"`
	// Deleted says that the device is marked for deletion once it is not in use.
	Deleted bool `json:"deleted"`
}

// Transaction is the record of the last creation or deletion of a device:
// transaction-metadata. The transaction is under way if OpenID is higher than the pool's
// transaction id.
type Transaction struct {
	OpenID   uint64 `json:"open_transaction_id"`
	Hash     string `json:"device_hash"` // "" is the base device
	DeviceID uint32 `json:"device_id"`   // 0 to 1<<24-1
}

// DeviceSet is the record about all devices: deviceset-metadata.
type DeviceSet struct {
	// NextDeviceID is the device id that was tried last for a new device, 0 to 1<<24-1. The
	// next search starts after it.
	NextDeviceID uint32 `json:"next_device_id"`
	// BaseDeviceUUID and BaseDeviceFilesystem are the UUID and the type, "ext4" or "xfs",
	// of the base device's filesystem. Both are "" before it is made.
	BaseDeviceUUID       string
	BaseDeviceFilesystem string
}

const (
	maxDeviceID = 1<<24 - 1
)

func checkDeviceID(field string, id uint32) error {
	if id > maxDeviceID {
		return fmt.Errorf("%s %d is higher than %d, the highest that a pool can have", field, id, maxDeviceID)
	}
	return nil
}

func checkSize(bytes int64) error {
	if bytes < 0 || bytes%blockdev.SectorBytes != 0 {
		return fmt.Errorf("size %d is not a whole number of sectors of %d bytes", bytes, blockdev.SectorBytes)
	}
	return nil
}
