package docker

import (
	"fmt"
	"path/filepath"
	"strings"

	"thintree/meta/record"
)

// withoutRemap is the folder that Docker was given as its root. With userns-remap Docker's own
// root is the folder UID.GID in it.
func withoutRemap(root string) string {
	if isRemap(filepath.Base(root)) {
		return filepath.Dir(root)
	}
	return root
}

// isRemap reports whether a name is UID.GID.
func isRemap(name string) bool {
	uid, gid, ok := strings.Cut(name, ".")
	return ok && isNumber(uid) && isNumber(gid)
}

func isNumber(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// remapped returns an error that names the roots of Docker with userns-remap in a folder that is
// no root itself, nil if there are none or the folder cannot be listed.
func remapped(dir string) error {
	if isRoot(dir) {
		return nil
	}
	const enough = 8 // roots that are named
	roots := remappedIn(dir)
	if len(roots) == 0 {
		return nil
	}
	return fmt.Errorf("docker:%s: remapped roots lie in it (userns-remap): name one of them: docker:%s", dir, strings.Join(roots[:min(len(roots), enough)], ", docker:"))
}

// remappedIn lists the roots of Docker with userns-remap in a folder, none if it cannot be listed.
func remappedIn(dir string) (roots []string) {
	f, err := record.OpenFolder(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	entries, err := f.List()
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if root := filepath.Join(dir, e.Name()); isRemap(e.Name()) && isRoot(root) {
			roots = append(roots, root)
		}
	}
	return roots
}
