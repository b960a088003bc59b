package record

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// DeviceSetFile is the name of the record about all devices.
const DeviceSetFile = "deviceset-metadata"

// The other fixed names in a folder of records.
const (
	transactionFile = "transaction-metadata"
	baseFile        = "base"
)

// maxBytes is the greatest length of a record. Real records have about 100 bytes.
const maxBytes = 1 << 20

// File is the file name of a device's record. The base device has the hash "".
func File(hash string) string {
	if hash == "" {
		return baseFile
	}
	return hash
}

// ReadDir reads the records of all devices in a folder, by hash. For each damaged record,
// damaged has an error with its path. A record that vanishes meanwhile is left out. err is
// not nil if the folder cannot be listed or ctx is done.
func ReadDir(ctx context.Context, dir string) (devices map[string]Device, damaged []error, err error) {
	f, err := OpenFolder(dir)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	entries, err := f.List()
	if err != nil {
		return nil, nil, err
	}
	var hashes []string
	for _, e := range entries {
		if name := e.Name(); !e.IsDir() && isDevice(name) {
			if name == baseFile {
				name = ""
			}
			hashes = append(hashes, name)
		}
	}
	return Each(ctx, hashes, func(hash string) (Device, error) {
		return f.readDevice(File(hash))
	})
}

func isDevice(name string) bool {
	return name != transactionFile && name != DeviceSetFile && !strings.HasPrefix(name, ".") && !strings.HasSuffix(name, ".migrated")
}

func (f *Folder) readDevice(name string) (Device, error) {
	path := f.Path(name)
	// A record needs an id and a size. These fields shadow those of Device, and stay nil if
	// they are missing.
	var r struct {
		Device
		ID        *uint32 `json:"device_id"`
		SizeBytes *int64  `json:"size"`
	}
	if err := f.ReadJSON(name, maxBytes, &r); err != nil {
		return Device{}, err
	}
	if r.ID == nil {
		return Device{}, fmt.Errorf("%s: no device_id", path)
	}
	if r.SizeBytes == nil {
		return Device{}, fmt.Errorf("%s: no size", path)
	}
	d := r.Device
	d.ID, d.SizeBytes = *r.ID, *r.SizeBytes
	if err := errors.Join(checkDeviceID("device_id", d.ID), checkSize(d.SizeBytes)); err != nil {
		return Device{}, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// ReadTransaction reads transaction-metadata in a folder of records. The error is
// [fs.ErrNotExist] if there is no such file: then no transaction was ever begun.
func ReadTransaction(dir string) (Transaction, error) {
	var t Transaction
	if err := readIn(dir, transactionFile, &t); err != nil {
		return Transaction{}, err
	}
	if err := checkDeviceID("device_id", t.DeviceID); err != nil {
		return Transaction{}, fmt.Errorf("%s: %w", filepath.Join(dir, transactionFile), err)
	}
	return t, nil
}

// ReadDeviceSet reads deviceset-metadata in a folder of records. The error is
// [fs.ErrNotExist] if there is no such file.
func ReadDeviceSet(dir string) (DeviceSet, error) {
	var s DeviceSet
	if err := readIn(dir, DeviceSetFile, &s); err != nil {
		return DeviceSet{}, err
	}
	if err := checkDeviceID("next_device_id", s.NextDeviceID); err != nil {
		return DeviceSet{}, fmt.Errorf("%s: %w", filepath.Join(dir, DeviceSetFile), err)
	}
	return s, nil
}

// readIn reads one record in a folder.
func readIn(dir, name string, into any) error {
	return ReadJSON(filepath.Join(dir, name), maxBytes, into)
}
