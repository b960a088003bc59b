// Package record is the JSON records of Docker's devicemapper driver: a file for
// each device, and two for the set of them. containers/storage keeps the same.
//
// Their form is that of daemon/graphdriver/devmapper/deviceset.go of Docker 24.
package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Device is the record of a device, a file by the name of its hash.
type Device struct {
	ID uint32 `json:"device_id"` // 0 to 1<<24-1
	// Size is the device's length in bytes.
	Size int64 `json:"size"`
	// TransactionID is the pool's when the device was made.
	TransactionID uint64 `json:"transaction_id"`
	// Initialized says that there is a filesystem of its own on it.
	Initialized bool `json:"initialized"`
	// Deleted says that it is to be deleted as soon as nobody uses it.
	Deleted bool `json:"deleted"`
}

// Transaction is the creation or deletion that was under way last, in
// transaction-metadata. It is open where its id is higher than the pool's.
type Transaction struct {
	OpenID   uint64 `json:"open_transaction_id"`
	Hash     string `json:"device_hash"`
	DeviceID uint32 `json:"device_id"`
}

// The names of the records that are of no device.
const (
	TransactionFile = "transaction-metadata"
	DeviceSetFile   = "deviceset-metadata"
	// BaseFile is the record of the base device, which has no hash.
	BaseFile = "base"
)

const maxDeviceID = 1<<24 - 1

// check tells what of a record cannot be.
func (d *Device) check() error {
	switch {
	case d.ID > maxDeviceID:
		return fmt.Errorf("device_id %d is higher than a pool can have", d.ID)
	case d.Size < 0 || d.Size%512 != 0:
		return fmt.Errorf("size %d is no whole number of sectors", d.Size)
	}
	return nil
}

// Devices reads the records of all devices in a folder, by file name. Those that
// are damaged are errors of their own, the rest is there; a record that vanishes
// meanwhile is not.
func Devices(dir string) (devices map[string]Device, damaged []error, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	devices = make(map[string]Device, len(entries))
	names := make(chan string)
	var mu sync.Mutex
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for name := range names {
				var d Device
				err := Read(filepath.Join(dir, name), maxRecord, &d)
				if err == nil {
					if err = d.check(); err != nil {
						err = fmt.Errorf("%s: %w", filepath.Join(dir, name), err)
					}
				}
				mu.Lock()
				switch {
				case err == nil:
					devices[name] = d
				case !errors.Is(err, fs.ErrNotExist):
					damaged = append(damaged, err)
				}
				mu.Unlock()
			}
		})
	}
	for _, e := range entries {
		if isDevice(e.Name()) {
			names <- e.Name()
		}
	}
	close(names)
	readers.Wait()
	return devices, damaged, nil
}

func isDevice(name string) bool {
	return name != TransactionFile && name != DeviceSetFile && !strings.HasPrefix(name, ".") && !strings.HasSuffix(name, ".migrated")
}

// maxRecord is how long a record may be, in bytes. Real ones have about 100.
const maxRecord = 1 << 20

// Read reads a JSON file as ReadFile does.
func Read(path string, maxBytes int64, into any) error {
	text, err := ReadFile(path, maxBytes)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// ReadFile reads a file of at most maxBytes. It follows no link, and waits for no
// pipe.
func ReadFile(path string, maxBytes int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if int64(len(text)) > maxBytes {
		return nil, fmt.Errorf("%s: longer than %d bytes", path, maxBytes)
	}
	return text, nil
}
