package record

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// ReadSetup reports whether the driver made the pool itself, with LVM on a block device that
// it was given (dm.directlvm_device). path is that of the store's [SetupFile]. If that file is
// missing or empty, the driver did not.
func ReadSetup(path string) (bool, error) {
	f, err := OpenFolder(filepath.Dir(path))
	if err != nil {
		return false, err
	}
	defer f.Close()
	text, err := f.ReadFile(filepath.Base(path), maxBytes)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var r struct{ Device string } // directLVMConfig in Docker's device_setup.go
	if err := unmarshal(text, &r); err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	return r.Device != "", nil
}
