package docker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"thintree/meta"
	"thintree/meta/record"
)

// settledStamp returns the stamp once all changes are older than a tick.
func (r *root) settledStamp() string {
	r.t.Helper()
	time.Sleep(2 * record.Tick)
	stamp, err := r.source().Stamp(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return stamp
}

func TestStampChangesWithTheCatalog(t *testing.T) {
	t.Parallel()
	id := hexID("c")
	for name, change := range map[string]func(r *root){
		"a new device":               func(r *root) { r.device("x") },
		"a deleted device":           func(r *root) { r.remove(recordsDir, hexID("one")) },
		"a device marked as deleted": func(r *root) { r.write(`{"device_id":2,"size":512,"deleted":true}`, recordsDir, hexID("one")) },
		"a new layer":                func(r *root) { r.layers("one", "new") },
		"a new image":                func(r *root) { r.image("new", "one") },
		"a tag":                      func(r *root) { r.names(map[string]string{"a:1": hexID("image i")}) },
		"a new container":            func(r *root) { r.container("new", "/new", "") },
		"a new name of a container, of the same length": func(r *root) {
			r.config(id, map[string]any{"ID": id, "Name": "/bbb", "Image": "sha256:1234", "Driver": driver, "State": map[string]any{"Running": true}})
		},
		"a removed container":        func(r *root) { r.remove(containersDir, id) },
		"a lost record":              func(r *root) { r.remove(containersDir, id, configFile) },
		"the begin of a transaction": func(r *root) { r.write(`{"open_transaction_id":101}`, recordsDir, "transaction-metadata") },
		"a lost root":                func(r *root) { r.remove() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoot(t)
			_, top := r.image("i", "one")
			r.container("c", "/aaa", top)
			before := r.settledStamp()
			if again := r.settledStamp(); again != before {
				t.Errorf("%s, then %s", before, again)
			}
			change(r)
			if after := r.settledStamp(); after == before {
				t.Error("the stamp is the same")
			}
		})
	}
}

// The end of a transaction changes only the pool, no record.
func TestStampChangesWhenATransactionEnds(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.device("x")
	r.write(`{"open_transaction_id":101,"device_hash":"x","device_id":2}`, recordsDir, "transaction-metadata")
	if v := volume(t, r.load(0), "x"); v.State != meta.StateHalf {
		t.Errorf("state %q", v.State)
	}
	before := r.settledStamp()
	r.pool(101)
	if after := r.settledStamp(); after == before {
		t.Error("the same")
	}
	if v := volume(t, r.load(0), "x"); v.State != meta.StateNormal {
		t.Errorf("state %q", v.State)
	}
}

func TestStampIgnoresOtherFiles(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	_, top := r.image("i", "one")
	id := r.container("c", "/c", top)
	r.write("", containersDir, id, "log")
	before := r.settledStamp()
	r.write("more", containersDir, id, "log")
	r.write("{}", containersDir, id, "hostconfig.json")
	r.write("written to", poolDir, "data")
	r.load(0)
	if after := r.settledStamp(); after != before {
		t.Errorf("%s, then %s", before, after)
	}
}

// Two changes within a tick of the filesystem's clock may look the same.
func TestStampJustAfterAChangeIsUnique(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.device("x")
	one, err := r.source().Stamp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(r.path(recordsDir))
	if err != nil {
		t.Fatal(err)
	}
	if time.Since(st.ModTime()) > record.Tick {
		t.Skipf("needs a stamp within %v of a change: the machine is too slow", record.Tick)
	}
	if two := r.settledStamp(); one == two {
		t.Error("the same")
	}
}

func TestStampOfAMissingRoot(t *testing.T) {
	t.Parallel()
	if stamp, err := New(filepath.Join(t.TempDir(), "missing"), Options{}).Stamp(t.Context()); stamp == "" || err != nil {
		t.Error(stamp, err)
	}
}

func TestContextEndsLoadAndStamp(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	r.container("c", "/c", "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.source().Load(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := r.source().Stamp(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
