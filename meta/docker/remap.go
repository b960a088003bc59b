package docker

import (
	"path/filepath"
	"strings"
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
