package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"thintree/meta"
	"thintree/meta/record"
)

// layers is which volume belongs to which layer or container.
type layers struct {
	// volume finds the volume of a chain of layers by its id, 64 digits.
	volume map[string]string
	// parent finds a volume's parent.
	parent map[string]string
	// mounts finds the volume of a container by the container's id, and inits
	// says which volumes lie between a container's and its image's.
	mounts map[string]string
	inits  map[string]bool
	// owned are the volumes of containers.
	owned    map[string]bool
	warnings []error
}

// role is what a volume is for.
func (l *layers) role(volume string) meta.Role {
	switch {
	case volume == record.BaseFile:
		return meta.RoleBase
	case l.inits[volume]:
		return meta.RoleInit
	case l.owned[volume]:
		return meta.RoleContainer
	}
	return meta.RoleLayer
}

// layers reads the layer database. What is damaged in it is a warning.
func (s source) layers(ctx context.Context) (*layers, error) {
	l := &layers{
		volume: make(map[string]string), parent: make(map[string]string),
		mounts: make(map[string]string), inits: make(map[string]bool), owned: make(map[string]bool),
	}
	up := make(map[string]string) // chain to the chain below it
	for _, chain := range l.list(s.path(layersDir)) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		volume, err := readWord(s.path(layersDir, chain, "cache-id"))
		if err != nil {
			l.warn(err)
			continue
		}
		l.volume[chain] = volume
		switch below, err := readWord(s.path(layersDir, chain, "parent")); {
		case err == nil:
			up[chain] = digits(below)
		case !errors.Is(err, fs.ErrNotExist):
			l.warn(err)
		}
	}
	for chain, below := range up {
		l.parent[l.volume[chain]] = l.volume[below]
	}
	for _, id := range l.list(s.path(mountsDir)) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		volume, err := readWord(s.path(mountsDir, id, "mount-id"))
		if err != nil {
			l.warn(err)
			continue
		}
		l.mounts[id] = volume
		l.owned[volume] = true
		below := ""
		switch image, err := readWord(s.path(mountsDir, id, "parent")); {
		case err == nil:
			below = l.volume[digits(image)]
		case !errors.Is(err, fs.ErrNotExist):
			l.warn(err)
		}
		switch init, err := readWord(s.path(mountsDir, id, "init-id")); {
		case err == nil:
			l.inits[init] = true
			l.parent[init] = below
			below = init
		case !errors.Is(err, fs.ErrNotExist):
			l.warn(err)
		}
		l.parent[volume] = below
	}
	return l, nil
}

// list is what is in a folder of the database; nothing where it is missing.
func (l *layers) list(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.warn(err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// warn notes what could not be read; what vanished meanwhile is no damage.
func (l *layers) warn(err error) {
	if !errors.Is(err, fs.ErrNotExist) {
		l.warnings = append(l.warnings, err)
	}
}

// readWord reads a file of one word.
func readWord(path string) (string, error) {
	text, err := record.ReadFile(path, 4096)
	if err != nil {
		return "", err
	}
	word := strings.TrimSpace(string(text))
	if word == "" || strings.ContainsAny(word, "/\x00\n ") {
		return "", fmt.Errorf("%s: %.40q is no id", path, word)
	}
	return word, nil
}

// digits are those of a digest: "sha256:ab…" becomes "ab…".
func digits(digest string) string { return strings.TrimPrefix(digest, "sha256:") }

// chainID is the id of a chain of layers by the digests of their contents, from
// the lowest up: chain(1) is diff(1), chain(n) is the digest of "chain(n-1)
// diff(n)".
func chainID(diffs []string) string {
	chain := ""
	for i, diff := range diffs {
		if i == 0 {
			chain = diff
			continue
		}
		sum := sha256.Sum256([]byte(chain + " " + diff))
		chain = "sha256:" + hex.EncodeToString(sum[:])
	}
	return digits(chain)
}
