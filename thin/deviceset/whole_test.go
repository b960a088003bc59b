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

// smallStore are options of a store that is soon made.
var smallStore = []string{"dm.basesize=64M", "dm.loopdatasize=1G", "dm.loopmetadatasize=16M"}

// storeFiles are where a store has its pool.
func storeFiles(root string) (metadata, data string) {
	return filepath.Join(root, "devicemapper/metadata"), filepath.Join(root, "devicemapper/data")
}

// nothingLeft fails where a device-mapper device, a loop device, a mount or a
// folder for one is left.
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
			errs = append(errs, fmt.Errorf("mounted still: %s", line))
		}
	}
	made, err := filepath.Glob(filepath.Join(root, ".*"))
	errs = append(errs, err)
	if made != nil {
		errs = append(errs, fmt.Errorf("left in the store: %v", made))
	}
	return errors.Join(errs...)
}

// nothingSuspended fails where a device is suspended.
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

// agrees fails where the records of a store that is closed and its pool do not name
// the same devices, or a transaction is under way.
func agrees(t *testing.T, root string) error {
	records := filepath.Join(root, "metadata")
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
			errs = append(errs, fmt.Errorf("%q is device %d, which the pool has not", hash, rec.ID))
		}
		delete(inPool, rec.ID)
	}
	for id := range inPool {
		errs = append(errs, fmt.Errorf("no record names device %d", id))
	}
	poolID, err := transactionID(t, metadata)
	errs = append(errs, err)
	for hash, rec := range devices {
		if rec.TransactionID > poolID {
			errs = append(errs, fmt.Errorf("%q is of transaction %d, the pool at %d", hash, rec.TransactionID, poolID))
		}
	}
	open, err := record.ReadTransaction(records)
	if err == nil && open.OpenID > poolID {
		err = fmt.Errorf("transaction %+v is under way, the pool at %d", open, poolID)
	}
	return errors.Join(append(errs, err)...)
}

// transactionID is that of a pool that is not active.
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

// checked fails where thin_check finds something in a file of metadata. It reads
// past the page cache, which a file in memory has not and a loop device over it has.
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
