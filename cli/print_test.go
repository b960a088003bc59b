package cli

import "testing"

func TestModesArePrintedAsLsPrintsThem(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]file{
		"-rw-r--r--": {Type: "file", Mode: "0644"},
		"drwxrwxrwt": {Type: "folder", Mode: "1777"},
		"drwxrwxr-T": {Type: "folder", Mode: "1774"},
		"-rwsr-xr-x": {Type: "file", Mode: "4755"},
		"-rwSr-Sr--": {Type: "file", Mode: "6644"},
		"lrwxrwxrwx": {Type: "link", Mode: "0777"},
		"crw-------": {Type: "character device", Mode: "0600"},
		"brw-rw----": {Type: "block device", Mode: "0660"},
		"prw-r--r--": {Type: "fifo", Mode: "0644"},
		"srwxr-xr-x": {Type: "socket", Mode: "0755"},
	} {
		if got := modeString(f); got != want {
			t.Errorf("%s %s is %s, want %s", f.Type, f.Mode, got, want)
		}
	}
}

func TestHashesAreCutAndOtherNamesAreNot(t *testing.T) {
	t.Parallel()
	const hash = someHash
	for name, want := range map[string]string{
		hash:            "3d302c1317c9",
		hash + "-init":  "3d302c1317c9-init",
		hash + "0":      hash + "0",
		hash[:63] + "g": hash[:63] + "g",
		"base":          "base",
		"@7":            "@7",
		"":              "",
	} {
		if got := shorten(name); got != want {
			t.Errorf("%q is shown as %q, want %q", name, got, want)
		}
	}
}

func TestNamesDoNotMoveTheCursor(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"plain name": "plain name",
		"grüße":      "grüße",
		"\x1b[2Jx":   `"\x1b[2Jx"`,
		"a\nb":       `"a\nb"`,
		"\x7f":       `"\x7f"`,
		"\xff":       `"\xff"`,
	} {
		if got := printable(name); got != want {
			t.Errorf("%q is printed as %s, want %s", name, got, want)
		}
	}
}
