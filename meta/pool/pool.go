package pool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"thintree/meta"
	"thintree/thin/block"
	"thintree/thin/resolve"
)

const poolName = "pool"

type source struct {
	text  string // as a person writes it
	pool  meta.Pool
	names string // the path of the file with names, "" if there is none
}

var _ meta.Source = source{}

// New is the source of a pool, by the paths of its halves, files or block devices. names is
// the path of a file with names, "" for none.
func New(metadata, data, names string) meta.Source {
	return source{"pool:" + metadata + "," + data, meta.Pool{Name: poolName, Metadata: block.At(metadata), Data: block.At(data)}, names}
}

// NewActive is the source of a pool that device-mapper has active, by the name of its device. names
// is as for New.
func NewActive(device, names string) meta.Source {
	return source{"dm:" + device, meta.Pool{Name: device, Device: device}, names}
}

// Split splits META,DATA into the two paths. Paths may contain commas: Split splits at the
// first comma for which both paths exist, otherwise at the last comma.
func Split(arg string) (metadata, data string, err error) {
	for i := range arg {
		if arg[i] == ',' && exists(arg[:i]) && exists(arg[i+1:]) {
			return arg[:i], arg[i+1:], nil
		}
	}
	last := strings.LastIndexByte(arg, ',')
	if last <= 0 || last == len(arg)-1 {
		return "", "", errors.New("a pool has two halves: META,DATA")
	}
	return arg[:last], arg[last+1:], nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// String is the source as a person writes it.
func (s source) String() string { return s.text }

// Places are the paths of the pool's halves, and of the file of names.
func (s source) Places() []string {
	places := append(s.pool.Metadata.Paths(), s.pool.Data.Paths()...)
	if s.names != "" {
		places = append(places, s.names)
	}
	return places
}

// Stamp changes when the file of names changes. It is an error if the file is missing.
func (s source) Stamp(context.Context) (string, error) {
	if s.names == "" {
		return "", nil
	}
	st, err := resolve.Stat(s.names)
	if err != nil {
		return "", namesError(s.names, err)
	}
	return fmt.Sprint(st.Ino, st.Size, st.Ctim.Nano()), nil
}

// Load returns the pool, and the volumes in the file of names. Unlike a damaged record, an
// invalid line is an error, with the file's path and the line's number: a person wrote the
// file for this pool.
func (s source) Load(context.Context) (*meta.Catalog, error) {
	c := &meta.Catalog{Pools: []meta.Pool{s.pool}}
	if s.names == "" {
		return c, nil
	}
	var err error
	if c.Volumes, err = readNames(s.names, s.pool.Name); err != nil {
		return nil, err
	}
	return c, nil
}
