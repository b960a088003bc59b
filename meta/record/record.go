package record

import "fmt"

// Device is the record of a device: devInfo of deviceset.go.
type Device struct {
	// ID is the device's in the pool, 0 to 1<<24-1.
	ID uint32 `json:"device_id"`
	// SizeBytes is the device's length, whole sectors of 512 bytes.
	SizeBytes int64 `json:"size"`
	// TransactionID is what the pool's became when the device was created.
	TransactionID uint64 `json:"transaction_id"`
	// Initialized says that a filesystem was made on it: true of the base device
	// only, the others have theirs from it.
	Initialized bool `json:"initialized"`
	// Deleted says that it is to be deleted as soon as nobody uses it.
	Deleted bool `json:"deleted"`
}

// Transaction is the creation or deletion of a device that was begun last:
// transaction-metadata. It is under way while OpenID is higher than the pool's
// transaction id.
type Transaction struct {
	OpenID   uint64 `json:"open_transaction_id"`
	Hash     string `json:"device_hash"` // "" is the base device
	DeviceID uint32 `json:"device_id"`   // 0 to 1<<24-1
}

// DeviceSet is what is recorded of all devices together: deviceset-metadata.
type DeviceSet struct {
	// NextDeviceID is the id that is tried first for a new device, 0 to 1<<24-1.
	NextDeviceID uint32 `json:"next_device_id"`
	// BaseDeviceUUID is that of the base device's filesystem, and
	// BaseDeviceFilesystem its kind: "ext4" or "xfs". Both are "" before it is made.
	BaseDeviceUUID       string
	BaseDeviceFilesystem string
}

// SectorBytes is the length of a sector, the unit of device lengths.
const SectorBytes = 512

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
	if bytes < 0 || bytes%SectorBytes != 0 {
		return fmt.Errorf("size %d is not a whole number of sectors of %d bytes", bytes, SectorBytes)
	}
	return nil
}
