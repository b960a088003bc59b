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

// WriteDevice writes the record of a device into the folder dir, in place of one
// that is there. Where there is an error that record is as it was, unless only the
// folder could not be synced. A hash that cannot be is a [NameError].
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

// RemoveDevice removes the record of a device, if there is one. A hash that cannot
// be is a [NameError].
func RemoveDevice(dir, hash string) error {
	if err := CheckHash(hash); err != nil {
		return err
	}
	path := filepath.Join(dir, File(hash))
	if err := unix.Unlink(path); err != nil && err != unix.ENOENT {
		return &fs.PathError{Op: "unlink", Path: path, Err: err}
	}
	// Where it was gone, nobody knows whether that is on the disk.
	return syncFolder(dir)
}

// WriteTransaction writes transaction-metadata, as [WriteDevice] does a record.
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

// WriteDeviceSet writes deviceset-metadata, as [WriteDevice] does a record.
func WriteDeviceSet(dir string, s DeviceSet) error {
	path := filepath.Join(dir, DeviceSetFile)
	if err := checkDeviceID("next_device_id", s.NextDeviceID); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return write(path, s)
}

// tmpPrefix begins the names of files that become records when they are whole:
// what follows is random.
const tmpPrefix = ".tmp"

// write writes a record elsewhere in its folder, and renames it to path once it
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

// started is before this process did: a file's time can be a tick of the kernel's
// clock earlier than the moment at which it was written.
var started = time.Now().Add(-tick)

const tick = 100 * time.Millisecond

// Sweep removes what a process left in a folder of records that ended while it
// wrote one: files that were to become records, older than this process. Nobody
// else may write to the folder meanwhile.
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
