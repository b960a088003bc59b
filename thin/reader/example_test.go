package reader_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"thintree/tests/pools"
	"thintree/thin/block"
	"thintree/thin/reader"
	"thintree/volfs"
	"thintree/volfs/ext4"
	"thintree/volfs/probe"
)

// A file of a volume, out of a pool that containerd's devmapper snapshotter made.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := pools.Unpack(dir, "containerd-ext4"); err != nil {
		log.Fatal(err)
	}
	if err := printFile(context.Background(), filepath.Join(dir, "ctd"), 5, 512<<20, "app", "built.txt"); err != nil {
		log.Fatal(err)
	}
	// Output:
	// device 5 holds ext4
	// built
}

// printFile prints a file of a device of the pool in dir, a device of sizeBytes bytes.
func printFile(ctx context.Context, dir string, id uint32, sizeBytes int64, path ...string) error {
	pool, err := reader.Open(ctx, block.At(filepath.Join(dir, "meta")), block.At(filepath.Join(dir, "data")), reader.Options{})
	if err != nil {
		return err
	}
	defer pool.Close()
	device, err := pool.OpenDevice(ctx, id, sizeBytes, nil)
	if err != nil {
		return err
	}
	defer device.Close()
	found, err := probe.Probe(ctx, device)
	if err != nil {
		return err
	}
	if found.Kind != probe.KindFilesystem {
		return fmt.Errorf("device %d holds %s", id, found.Kind)
	}
	fmt.Printf("device %d holds %s\n", id, found.Signatures[0].Type)
	fs, err := ext4.Open(ctx, device, volfs.Options{})
	if err != nil {
		return err
	}
	defer fs.Close()
	return printFileOf(ctx, fs, path)
}

func printFileOf(ctx context.Context, fs volfs.FS, path []string) (err error) {
	ino := fs.Root()
	for _, name := range path {
		if ino, err = fs.Lookup(ctx, ino, name); err != nil {
			return err
		}
	}
	attr, err := fs.Stat(ctx, ino)
	if err != nil {
		return err
	}
	file, err := fs.Open(ctx, ino)
	if err != nil {
		return err
	}
	defer file.Close()
	content := make([]byte, attr.Size)
	if _, err := file.ReadAt(ctx, content, 0); err != nil && err != io.EOF {
		return err
	}
	_, err = os.Stdout.Write(content)
	return err
}
