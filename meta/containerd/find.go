package containerd

import (
	"context"
	"path/filepath"

	"github.com/pelletier/go-toml/v2"
)

// find lists the roots of this host: the usual one, or the one that the configuration names.
func find(context.Context) ([]string, error) {
	root := defaultRoot
	text, err := readConfig("/")
	var file struct {
		Root string `toml:"root"`
	}
	if err == nil {
		err = toml.Unmarshal(text, &file)
	}
	if filepath.IsAbs(file.Root) {
		root = filepath.Clean(file.Root)
	}
	if !Recognise(root) {
		return nil, err
	}
	return []string{root}, err
}
