package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"thintree/meta/record"
	"thintree/thin/resolve"
)

const (
	// directLVM is the device-mapper name of the pool that Docker makes on a block device.
	directLVM = "docker-thinpool"
	// daemonFile is the configuration of Docker on a host.
	daemonFile = "/etc/docker/daemon.json"
)

// daemonPath is the path of the configuration of the system that a root is part of.
func daemonPath(root string) (string, error) {
	top := topOf(root)
	return resolve.Within(top, filepath.Join(top, daemonFile))
}

// daemon is the part of Docker's configuration that is used.
type daemon struct {
	StorageOpts []string `json:"storage-opts"`
	DataRoot    string   `json:"data-root"`
	Graph       string   `json:"graph"` // its name before Docker 17.05
}

// readDaemon reads the configuration of the system that a root is part of. It is zero if there is none.
func readDaemon(root string) (d daemon, err error) {
	path, err := daemonPath(root)
	if err == nil {
		err = record.ReadJSON(path, maxConfig, &d)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return daemon{}, nil
	}
	return d, err
}

// configuredPool returns the device-mapper name of the pool that the host's configuration
// names for a root, "" if it names none. Options on the command line of Docker are in no
// record.
func configuredPool(root string) (string, error) {
	r, err := readDaemon(root)
	if err != nil {
		return "", err
	}
	top := topOf(root)
	for _, other := range []string{r.DataRoot, r.Graph} {
		if other != "" && filepath.Join(top, other) != withoutRemap(root) {
			return "", nil // the configuration is another root's
		}
	}
	pool := ""
	for _, option := range r.StorageOpts {
		key, value, _ := strings.Cut(option, "=")
		if strings.EqualFold(strings.TrimSpace(key), "dm.thinpooldev") {
			pool = strings.TrimPrefix(strings.TrimSpace(value), "/dev/mapper/")
		}
	}
	if strings.Contains(pool, "/") {
		return "", fmt.Errorf("%s: dm.thinpooldev=%.80q is not the name of a device-mapper device", filepath.Join(top, daemonFile), pool)
	}
	return pool, nil
}
