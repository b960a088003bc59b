package record

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const good = `{"device_id":20,"size":1073741824,"transaction_id":30,"initialized":false,"deleted":false}`

var goodDevice = Device{ID: 20, SizeBytes: 1 << 30, TransactionID: 30}

// folder makes a folder with files, given by name and contents.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDevicesAreReadByHash(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"base":                 `{"device_id":1,"size":10737418240,"transaction_id":1,"initialized":true,"deleted":false}`,
		"ab12":                 good,
		"ab12-init":            `{"device_id":16777215,"size":512,"transaction_id":18446744073709551615,"deleted":true,"later":{}}`,
		"transaction-metadata": "not a device",
		"deviceset-metadata":   "not a device",
		"old.migrated":         "not a device",
		".tmp123":              "not a device",
	})
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	devices, damaged, err := ReadDir(t.Context(), dir)
	if err != nil || len(damaged) > 0 {
		t.Fatal(err, damaged)
	}
	want := map[string]Device{
		"":          {ID: 1, SizeBytes: 10 << 30, TransactionID: 1, Initialized: true},
		"ab12":      goodDevice,
		"ab12-init": {ID: 1<<24 - 1, SizeBytes: 512, TransactionID: 1<<64 - 1, Deleted: true},
	}
	if diff := cmp.Diff(want, devices); diff != "" {
		t.Error(diff)
	}
}

func TestDamagedRecordsLoseOnlyThemselves(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, says string }{
		"empty":            {"", "unexpected end"},
		"cut short":        {good[:40], "unexpected end"},
		"zeros":            {strings.Repeat("\x00", 90), "invalid character"},
		"trailing text":    {good + "x", "invalid character"},
		"null":             {"null", "no device_id"},
		"an empty object":  {"{}", "no device_id"},
		"an array":         {"[1]", "array"},
		"no size":          {`{"device_id":2}`, "no size"},
		"null size":        {`{"device_id":2,"size":null}`, "no size"},
		"a high id":        {`{"device_id":16777216,"size":512}`, "device_id 16777216"},
		"a huge id":        {`{"device_id":` + strings.Repeat("9", 1000) + `,"size":512}`, "device_id"},
		"a negative id":    {`{"device_id":-1,"size":512}`, "device_id"},
		"a fractional id":  {`{"device_id":1.5,"size":512}`, "device_id"},
		"a negative size":  {`{"device_id":2,"size":-512}`, "size -512"},
		"half a sector":    {`{"device_id":2,"size":1000}`, "size 1000"},
		"a huge size":      {`{"device_id":2,"size":18446744073709551104}`, "size"},
		"a string as size": {`{"device_id":2,"size":"512"}`, "size"},
		"deep nesting":     {strings.Repeat("[", 100_000), "max depth"},
		"too long":         {good + strings.Repeat(" ", maxBytes), "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, map[string]string{"bad": c.text, "good": good})
			devices, damaged, err := ReadDir(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]Device{"good": goodDevice}, devices); diff != "" {
				t.Error(diff)
			}
			if len(damaged) != 1 {
				t.Fatalf("damaged: %v", damaged)
			}
			text := damaged[0].Error()
			if !strings.Contains(text, filepath.Join(dir, "bad")) || !strings.Contains(text, c.says) || len(text) > 500 {
				t.Errorf("error: %s", text)
			}
		})
	}
}

func TestLinksPipesAndSocketsAreDamagedRecords(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"good": good})
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(
		unix.Mkfifo(path("fifo"), 0o600),
		os.Symlink("good", path("link")),
		os.Symlink("/dev/zero", path("zero")),
	); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", path("s"))
	if err != nil {
		t.Skipf("needs a socket: %v", err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	devices, damaged, err := ReadDir(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(devices) != 1 || len(damaged) != 4 {
		t.Errorf("%d devices; %v", len(devices), damaged)
	}
}

func TestMissingFolderIsAnError(t *testing.T) {
	t.Parallel()
	if _, _, err := ReadDir(t.Context(), filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error: %v", err)
	}
}

func TestTransactionIsRead(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"transaction-metadata": `{"open_transaction_id":30,"device_hash":"ab12","device_id":20}`,
	})
	x, err := ReadTransaction(dir)
	if want := (Transaction{30, "ab12", 20}); err != nil || x != want {
		t.Error(x, err)
	}
}

func TestDamagedTransactionIsAnError(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty": "", "cut short": `{"device_id":`, "a high id": `{"device_id":16777216}`, "a string as id": `{"device_id":"1"}`,
	} {
		dir := folder(t, map[string]string{"transaction-metadata": text})
		if _, err := ReadTransaction(dir); err == nil || !strings.Contains(err.Error(), "transaction-metadata") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadTransaction(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

// Docker must be able to read records that were written with these types.
func TestTypesHaveDockersForm(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]any{
		good: goodDevice,
		`{"open_transaction_id":30,"device_hash":"3d30","device_id":20}`: Transaction{30, "3d30", 20},
	} {
		if text, err := json.Marshal(v); err != nil || string(text) != want {
			t.Errorf("%s, %v\nwant %s", text, err, want)
		}
	}
}

// Any record is either within bounds or an error.
func FuzzDevice(f *testing.F) {
	for _, text := range []string{good, "", "{}", "null", `{"device_id":-1}`, `{"Device_ID":5,"SIZE":512,"device_id":6}`} {
		f.Add([]byte(text))
	}
	dir := f.TempDir()
	records := openFolder(f, dir)
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(dir, "record")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := records.readDevice("record")
		if err != nil {
			if len(err.Error()) > len(path)+500 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if d.ID >= 1<<24 || d.SizeBytes < 0 || d.SizeBytes%512 != 0 {
			t.Errorf("%+v", d)
		}
	})
}
