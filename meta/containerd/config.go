package containerd

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"thintree/meta/record"
	"thintree/thin/resolve"
)

const (
	configFile = "/etc/containerd/config.toml"
	maxConfig  = 1 << 20 // bytes
)

// config is what containerd's configuration says of the snapshotter. Empty fields are not set.
type config struct {
	RootPath string `toml:"root_path"` // the snapshotter's folder
	PoolName string `toml:"pool_name"`

	top string // the root folder of the system that the paths are of
}

// config reads the configuration that is certainly of this root: it names the root, or both
// are in the usual place of one system. Otherwise it is empty. Files that it imports are not
// read.
func (s source) config() (config, error) {
	top, root := "/", s.root
	if before, ok := strings.CutSuffix(s.root, defaultRoot); ok {
		top, root = cmp.Or(before, "/"), defaultRoot
	}
	text, err := readConfig(top)
	if err != nil {
		return config{}, err
	}
	var file struct {
		Root    string `toml:"root"`
		Plugins struct {
			Long  config `toml:"io.containerd.snapshotter.v1.devmapper"`
			Short config `toml:"devmapper"` // in version 1
		} `toml:"plugins"`
	}
	if err := toml.Unmarshal(text, &file); err != nil {
		return config{}, fmt.Errorf("%s: %w", filepath.Join(top, configFile), err)
	}
	if filepath.Clean(cmp.Or(file.Root, defaultRoot)) != root {
		return config{}, nil
	}
	return config{
		RootPath: cmp.Or(file.Plugins.Long.RootPath, file.Plugins.Short.RootPath),
		PoolName: cmp.Or(file.Plugins.Long.PoolName, file.Plugins.Short.PoolName),
		top:      top,
	}, nil
}

// readConfig reads the configuration of a system, by its root folder. It returns nothing if
// there is none.
func readConfig(top string) ([]byte, error) {
	real, err := resolve.Within(top, filepath.Join(top, configFile))
	if err != nil {
		return nil, ignoreMissing(err)
	}
	dir, err := record.OpenFolder(filepath.Dir(real))
	if err != nil {
		return nil, ignoreMissing(err)
	}
	defer dir.Close()
	text, err := dir.ReadFile(filepath.Base(real), maxConfig)
	return text, ignoreMissing(err)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
