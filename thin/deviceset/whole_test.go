package deviceset

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"thintree/meta/record"
	"thintree/thin/block"
	"thintree/thin/dm"
	"thintree/thin/loop"
	"thintree/thin/pdata"
	"thintree/thin/reader"
)

// smallStore are options for a small store, which is made quickly.
var smallStore = []string{"dm.basesize=64M", "dm.loopdatasize=1G", "dm.loopmetadatasize=16M"}

// storeFiles are the paths of a store's pool.
func storeFiles(root string) (metadata, data string) {
	return filepath.Join(root, record.PoolMetadata), filepath.Join(root, record.PoolData)
}

// nothingLeft returns an error if a device-mapper device, a loop device, a mount or a
// temporary mount point is left.
func nothingLeft(t *testing.T, root string) error {
	c, err := dm.Open()
	if err != nil {
		return err
	}
	defer c.Close()
	devices, err := c.List(t.Context())
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range devices {
		errs = append(errs, fmt.Errorf("device %s is left", d.Name))
	}
	loops, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	errs = append(errs, err)
	for _, l := range loops {
		text, _ := os.ReadFile(l)
		if strings.HasPrefix(string(text), root) {
			errs = append(errs, fmt.Errorf("%s is left, over %s", l, text))
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	errs = append(errs, err)
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, " /dev/dm-") {
			errs = append(errs, fmt.Errorf("still mounted: %s", line))
		}
	}
	made, err := filepath.Glob(filepath.Join(root, ".*"))
	errs = append(errs, err)
	if made != nil {
		errs = append(errs, fmt.Errorf("left in the store: %v", made))
	}
	return errors.Join(errs...)
}

// nothingSuspended returns an error if a device is suspended.
func nothingSuspended(t *testing.T) error {
	c, err := dm.Open()
	if err != nil {
		return err
	}
	defer c.Close()
	devices, err := c.List(t.Context())
	for _, d := range devices {
		info, e := c.Info(t.Context(), d.Name)
		if e == nil && info.Suspended {
			e = fmt.Errorf("%s is suspended", d.Name)
		}
		if !errors.Is(e, dm.ErrNotFound) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// agrees returns an error if the records and the pool of a closed store have different
// devices, or a transaction is under way.
func agrees(t *testing.T, root string) error {
	records := filepath.Join(root, record.RecordsDir)
	devices, damaged, err := record.ReadDir(t.Context(), records)
	if err := errors.Join(append(damaged, err)...); err != nil {
		return err
	}
	metadata, data := storeFiles(root)
	p, err := reader.Open(t.Context(), block.At(metadata), block.At(data), reader.Options{})
	if err != nil {
		return err
	}
	defer p.Close()
	inPool := map[uint32]bool{}
	for d, err := range p.Devices(t.Context()) {
		if err != nil {
			return err
		}
		inPool[d.ID] = true
	}
	var errs []error
	for hash, rec := range devices {
		if !inPool[rec.ID] {
			errs = append(errs, fmt.Errorf("%q is device %d, which the pool lacks", hash, rec.ID))
		}
		delete(inPool, rec.ID)
	}
	for id := range inPool {
		errs = append(errs, fmt.Errorf("device %d has no record", id))
	}
	poolID, err := transactionID(t, metadata)
	errs = append(errs, err)
	for hash, rec := range devices {
		if rec.TransactionID > poolID {
			errs = append(errs, fmt.Errorf("%q has transaction id %d, the pool has %d", hash, rec.TransactionID, poolID))
		}
	}
	open, err := record.ReadTransaction(records)
	if err == nil && open.OpenID > poolID {
		err = fmt.Errorf("transaction %+v is under way, with the pool at %d", open, poolID)
	}
	return errors.Join(append(errs, err)...)
}

// transactionID reads the transaction id of a pool that is not active.
func transactionID(t *testing.T, metadata string) (uint64, error) {
	f, err := block.Open(metadata, block.Options{})
	if err != nil {
		return 0, err
	}
	defer f.Close()
	m, err := pdata.Open(t.Context(), f, f.Size(), pdata.Options{})
	if err != nil {
		return 0, err
	}
	return m.Superblock().TransactionID, nil
}

// checked fails the test if thin_check finds an error in a metadata file. thin_check needs
// direct I/O, which a file on tmpfs lacks but a loop device over it has.
func checked(t *testing.T, metadata string) {
	t.Helper()
	l, err := loop.Attach(t.Context(), metadata, loop.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if out, err := exec.Command("thin_check", "-q", l.Path()).CombinedOutput(); err != nil {
		t.Errorf("thin_check: %v: %s", err, out)
	}
}
