package pool

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"thintree/meta"
	"thintree/thin/block"
)

// System is bare pools as one of the naming systems.
var System = meta.System{
	Name:       "pool",
	Argument:   "META,DATA",
	Noun:       "a bare pool",
	Help:       "a pool's metadata and data: files or block devices",
	TakesNames: true,
	Open:       open,
	Recognise:  recognise,
}

func open(arg string, o meta.Options) (meta.Source, error) {
	metadata, data, err := Halves(arg)
	if err != nil {
		return nil, fmt.Errorf("pool:%s: %w", arg, err)
	}
	names := o.Names
	if names != "" {
		if names, err = filepath.Abs(names); err != nil {
			return nil, err
		}
	}
	return New(metadata, data, names), nil
}

// Halves splits META,DATA as [Split] does, and makes both paths absolute.
func Halves(arg string) (metadata, data string, err error) {
	if metadata, data, err = Split(arg); err != nil {
		return "", "", err
	}
	if metadata, err = filepath.Abs(metadata); err != nil {
		return "", "", err
	}
	data, err = filepath.Abs(data)
	return metadata, data, err
}

// Given returns the pool that --pool names: META,DATA, or the device-mapper name of an active
// pool. name is the pool's Name.
func Given(arg, name string) (meta.Pool, error) {
	if !strings.ContainsAny(arg, ",/") {
		return meta.Pool{Name: name, Device: arg}, nil
	}
	if device, ok := strings.CutPrefix(arg, "/dev/mapper/"); ok && !strings.ContainsAny(device, ",/") {
		return meta.Pool{Name: name, Device: device}, nil
	}
	metadata, data, err := Halves(arg)
	if err != nil {
		return meta.Pool{}, fmt.Errorf("--pool %s: %w", arg, err)
	}
	return meta.Pool{Name: name, Metadata: block.At(metadata), Data: block.At(data)}, nil
}

// recognise says of a file that it is only one half of a pool, or why it is none.
func recognise(ctx context.Context, path string) (bool, error) {
	st, err := os.Stat(path)
	if err != nil || st.IsDir() {
		return false, err
	}
	f, err := block.OpenRaw(ctx, path, block.Options{})
	if err != nil {
		return false, err
	}
	defer f.Close()
	return false, fmt.Errorf("%s: one file is not a whole pool: name its metadata and its data, pool:META,DATA", path)
}
