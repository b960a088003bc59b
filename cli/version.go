package cli

import (
	"cmp"
	"runtime/debug"
)

// version is the version that the program was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknownVersion
	}
	return versionOf(info)
}

// unknownVersion is the version of a program that was built without its repository's history.
const unknownVersion = "unknown"

// versionOf is the module's version or, if it has none, the revision of its repository.
// Both end with +dirty if files differed from the revision.
func versionOf(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	const digits = 12
	var revision, dirty string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(digits, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	return cmp.Or(revision+dirty, unknownVersion)
}
