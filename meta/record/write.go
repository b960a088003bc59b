package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// WriteDevice writes the record of a device in the folder dir, and replaces an existing
// one. After an error the old record is unchanged, unless only the sync of the folder
// failed. The error is a *[NameError] if no device can have the hash.
func WriteDevice(dir, hash string, d Device) error {
	path := filepath.Join(dir, File(hash))
	if err := CheckHash(hash); err != nil {
		return err
	}
	if err := errors.Join(checkDeviceID("device_id", d.ID), checkSize(d.SizeBytes)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return write(path, d)
}

// RemoveDevice removes the record of a device, if there is one. The error is a *[NameError]
// if no device can have the hash.
func RemoveDevice(dir, hash string) error {
	if err := CheckHash(hash); err != nil {
		return err
	}
	path := filepath.Join(dir, File(hash))
	if err := unix.Unlink(path); err != nil && err != unix.ENOENT {
		return &fs.PathError{Op: "unlink", Path: path, Err: err}
	}
	// Even if it was missing: the removal may not be on the disk yet.
	return syncFolder(dir)
}

// WriteTransaction writes transaction-metadata in the folder dir, as [WriteDevice] writes a
// record.
func WriteTransaction(dir string, t Transaction) error {
	path := filepath.Join(dir, transactionFile)
	if err := CheckHash(t.Hash); err != nil {
		return err
	}
	if err := checkDeviceID("device_id", t.DeviceID); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return write(path, t)
}

// WriteDeviceSet writes deviceset-metadata in the folder dir, as [WriteDevice] writes a
// record.
func WriteDeviceSet(dir string, s DeviceSet) error {
	path := filepath.Join(dir, DeviceSetFile)
	if err := checkDeviceID("next_device_id", s.NextDeviceID); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return write(path, s)
}

// tmpPrefix is the prefix of the names of temporary files; the rest is random.
const tmpPrefix = ".tmp"

// write writes a record to a temporary file in its folder, and renames it to path once it
// is on the disk.
func write(path string, v any) (err error) {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, tmpPrefix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeIfThere(f.Name()))
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(dir)
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// started is a moment before this process started. It is earlier by some ticks of the
// kernel's clock, because a file's time may be a tick earlier than its write.
var started = time.Now().Add(-tick)

const tick = 100 * time.Millisecond

// Sweep removes temporary files that a stopped process left in a folder of records: those
// older than this process. No other process may write to the folder meanwhile.
func Sweep(dir string) error {
	f, err := OpenFolder(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	entries, err := f.List()
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if !e.Type().IsRegular() || !strings.HasPrefix(e.Name(), tmpPrefix) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && info.ModTime().Before(started) {
			err = removeIfThere(filepath.Join(dir, e.Name()))
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
