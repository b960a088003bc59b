// Package pool is a bare pool as a source: pool:META,DATA. Nobody has named its
// volumes, but a file may:
//
//	# lines of the device's id, its length in sectors of 512 bytes, and its name
//	1 2097152 base
package pool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"thintree/meta"
)

// source is a pool's halves, and the file with names.
type source struct{ metadata, data, names string }

// New is the source of a pool by the paths of its halves and of a file with
// names, "" where there is none.
func New(metadata, data, names string) meta.Source {
	return source{metadata, data, names}
}

// Split splits META,DATA into the two paths. A path may hold commas: it is split
// where both sides exist, otherwise at the last comma.
func Split(arg string) (metadata, data string, err error) {
	last := strings.LastIndexByte(arg, ',')
	if last <= 0 || last == len(arg)-1 {
		return "", "", errors.New("a pool has two halves: META,DATA")
	}
	for i := range arg {
		if arg[i] == ',' && exists(arg[:i]) && exists(arg[i+1:]) {
			return arg[:i], arg[i+1:], nil
		}
	}
	return arg[:last], arg[last+1:], nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// String is the source as a person writes it.
func (s source) String() string { return "pool:" + s.metadata + "," + s.data }

// Stamp changes with the file of names.
func (s source) Stamp(context.Context) (string, error) {
	if s.names == "" {
		return "", nil
	}
	st, err := os.Stat(s.names)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(st.ModTime().UnixNano(), st.Size()), nil
}

// Load gives the pool and the volumes that the file names.
func (s source) Load(context.Context) (*meta.Catalog, error) {
	c := &meta.Catalog{Pools: []meta.Pool{{Name: poolName, Metadata: s.metadata, Data: s.data}}}
	if s.names == "" {
		return c, nil
	}
	var err error
	c.Volumes, err = readNames(s.names)
	return c, err
}

const poolName = "pool"

// readNames reads a file of names. Whatever is wrong in it is an error: it was
// written for this.
func readNames(path string) ([]meta.Volume, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("names: %w", err)
	}
	defer f.Close()
	var list []meta.Volume
	ids, names := make(map[uint32]int), make(map[string]int)
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if i := slices.IndexFunc(fields, func(f string) bool { return f[0] == '#' }); i >= 0 {
			fields = fields[:i]
		}
		if len(fields) == 0 {
			continue
		}
		v, err := parseName(fields)
		if err == nil {
			switch {
			case ids[v.DeviceID] != 0:
				err = fmt.Errorf("device %d has a name in line %d", v.DeviceID, ids[v.DeviceID])
			case names[v.Name] != 0:
				err = fmt.Errorf("the name %s is given in line %d", v.Name, names[v.Name])
			}
		}
		if err != nil {
			return nil, fmt.Errorf("names: %s: line %d: %w", path, n, err)
		}
		ids[v.DeviceID], names[v.Name] = n, n
		v.Record = path
		list = append(list, v)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("names: %s: %w", path, err)
	}
	return list, nil
}

func parseName(fields []string) (meta.Volume, error) {
	if len(fields) != 3 {
		return meta.Volume{}, fmt.Errorf("%d words instead of device_id size_in_sectors name", len(fields))
	}
	id, err := strconv.ParseUint(fields[0], 10, 24)
	if err != nil {
		return meta.Volume{}, fmt.Errorf("device id: %w", err)
	}
	sectors, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return meta.Volume{}, fmt.Errorf("size in sectors: %w", err)
	}
	if sectors <= 0 || sectors > math.MaxInt64/512 {
		return meta.Volume{}, fmt.Errorf("size in sectors: %d is out of range", sectors)
	}
	name := fields[2]
	if name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return meta.Volume{}, fmt.Errorf("%q cannot be the name of a folder", name)
	}
	return meta.Volume{Name: name, Pool: poolName, DeviceID: uint32(id), SizeBytes: sectors * 512, Role: meta.RoleVolume}, nil
}
