package deviceset_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"thintree/thin/deviceset"
)

// A store with an image and a container: the container's device is a longer
// snapshot of the image's. This example runs over a fake device-mapper. A program
// calls NewDeviceSet, which has the same parameters as NewFakeDeviceSet here.
func ExampleDeviceSet() {
	ctx := context.Background()
	root, remove := temporary()
	defer remove()

	options := []string{"dm.thinpooldev=pool", "dm.basesize=64M"}
	s, err := deviceset.NewFakeDeviceSet(ctx, root, true, options)
	if err != nil {
		log.Fatal(err)
	}
	if err := s.AddDevice(ctx, "image", "", 0); err != nil { // a snapshot of the base device
		log.Fatal(err)
	}
	if err := s.AddDevice(ctx, "container", "image", 128<<20); err != nil {
		log.Fatal(err)
	}
	if _, err := s.ActivateDevice(ctx, "container"); err != nil {
		log.Fatal(err)
	}
	for _, hash := range s.List() {
		st, err := s.DeviceStatus(ctx, hash)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%q: device id %d, %d MiB, active: %v\n", hash, st.DeviceID, st.SizeBytes>>20, st.Active)
	}
	if err := s.DeleteDevice(ctx, "image"); err != nil { // the container keeps its blocks
		log.Fatal(err)
	}
	fmt.Printf("%q\n", s.List())
	if err := s.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}

	// Output:
	// "": device id 1, 64 MiB, active: false
	// "container": device id 3, 128 MiB, active: true
	// "image": device id 2, 64 MiB, active: false
	// ["" "container"]
}

// A container engine mounts a volume for each user, and unmounts it after the last.
func ExampleDriver() {
	ctx := context.Background()
	root, remove := temporary()
	defer remove()

	s, err := deviceset.NewFakeDeviceSet(ctx, root, true, []string{"dm.thinpooldev=pool", "dm.basesize=64M"})
	if err != nil {
		log.Fatal(err)
	}
	d, err := deviceset.NewDriver(ctx, s)
	if err != nil {
		log.Fatal(err)
	}
	if err := d.Create(ctx, "web", ""); err != nil {
		log.Fatal(err)
	}
	path, err := d.Get(ctx, "web", "")
	if err != nil {
		log.Fatal(err)
	}
	relative, err := filepath.Rel(root, path)
	fmt.Println(relative, err)
	fmt.Println(d.Remove(ctx, "web"))
	if err := d.Put(ctx, "web"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(d.Remove(ctx, "web"), d.Exists("web"))
	if err := d.Cleanup(ctx); err != nil {
		log.Fatal(err)
	}

	// Output:
	// mnt/web/rootfs <nil>
	// remove "web": the volume is in use (number of users: 1)
	// <nil> false
}

// temporary makes a folder for a store.
func temporary() (root string, remove func()) {
	dir, err := os.MkdirTemp("", "store-")
	if err != nil {
		log.Fatal(err)
	}
	return filepath.Join(dir, "store"), func() { os.RemoveAll(dir) }
}
