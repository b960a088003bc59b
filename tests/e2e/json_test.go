package e2e

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"thintree/fusefs/layout"
)

// foreignPool is a pool of a volume whose names are not UTF-8: its own, its label,
// and those of files and of what a link says.
func foreignPool(t *testing.T) (source []string, volume string, names []string) {
	t.Helper()
	needs(t, tool("mkfs.ext4"), tool("thin_restore"))
	volume, names = "vol\xfe", []string{"\xfe", "\xff", `\xfe`, "\ufffd", "grüße", "latin-gr\xfc\xdfe", "new\nline\xff"}
	dir := t.TempDir()
	sh(t, dir, "mkdir fs")
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, "fs", name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("to-\xff", filepath.Join(dir, "fs/link\xfe")); err != nil {
		t.Fatal(err)
	}
	sh(t, dir, "truncate -s 16M data && mkfs.ext4 -q -L caf\xe9 -d fs data")
	names = append(names, "link\xfe", "lost+found")
	slices.Sort(names)
	return wholePool(t, dir, 16, volume), volume, names
}

// exact is a member of a JSON object as bytes.
func exact(t *testing.T, o map[string]any, name string) string {
	t.Helper()
	text, plain := o[name+"_base64"].(string)
	if !plain {
		text, _ = o[name].(string)
		return text
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func parse[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestJSONKeepsNamesThatAreNotUTF8(t *testing.T) {
	t.Parallel()
	source, volume, names := foreignPool(t)
	run := func(args ...string) string {
		t.Helper()
		return thintree(t, append(append([]string{args[0], "--json"}, source...), args[1:]...)...).must(t)
	}
	var got []string
	for _, f := range parse[[]map[string]any](t, run("ls", volume+":/")) {
		name := exact(t, f, "name")
		got = append(got, name)
		if f["type"] == "link" && exact(t, f, "target") != "to-\xff" {
			t.Errorf("%q leads to %q", name, exact(t, f, "target"))
		}
	}
	if !slices.Equal(got, names) {
		t.Errorf("the files are %q, want %q", got, names)
	}
	mnt := mount(t, source...)
	shown, err := os.ReadFile(filepath.Join(mnt, "info", layout.Escape(volume)+".json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []map[string]any{
		parse[map[string]any](t, string(shown)),
		parse[map[string]any](t, run("info", volume)),
		parse[[]map[string]any](t, run("ls"))[0],
	} {
		fs, _ := v["filesystem"].(map[string]any)
		if exact(t, v, "name") != layout.Escape(volume) || exact(t, v, "recorded_name") != volume || exact(t, fs, "label") != "caf\xe9" {
			t.Errorf("name %q, label %q", exact(t, v, "name"), exact(t, fs, "label"))
		}
	}
}

// TestNamesAreTurnedBackAsDocumented runs the commands of docs/json.md.
func TestNamesAreTurnedBackAsDocumented(t *testing.T) {
	t.Parallel()
	needs(t, tool("jq"), tool("python3"))
	source, volume, names := foreignPool(t)
	docs, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Join(append([]string{program, "ls --json"}, source...), " ") + " " + volume + ":/ |"
	ways := regexp.MustCompile("(?s)```sh\n(thintree ls --json SOURCE VOLUME:/PATH \\|.*?)```").FindAllStringSubmatch(string(docs), -1)
	if len(ways) != 2 {
		t.Fatalf("docs/json.md has %d ways", len(ways))
	}
	for _, way := range ways {
		got := strings.Split(sh(t, "/", strings.Replace(way[1], "thintree ls --json SOURCE VOLUME:/PATH |", list, 1)), "\x00")
		if !slices.Equal(got, append(names, "")) {
			t.Errorf("got %q, want %q by\n%s", got, names, way[1])
		}
	}
}
