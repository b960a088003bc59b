package tree

import (
	"log/slog"
	"testing"

	"thintree/fusefs/volume"
	"thintree/meta"
	"thintree/thin/lend"
)

// A folder of the layout shows the attributes of volumes, which are read from their devices.
func TestRequestsThatReadAVolumeMayStall(t *testing.T) {
	t.Parallel()
	source := &named{name: "named", cat: meta.Catalog{Pools: []meta.Pool{smallPool(t)}, Volumes: []meta.Volume{volumeRecord("v", linksID)}}}
	for engine, want := range map[volume.Engine]bool{volume.EngineAuto: false, volume.EngineKernel: true} {
		tree, err := New(t.Context(), []meta.Source{source}, Options{MaxActive: 1, Options: volume.Options{
			Engine: engine, Kernel: &kernel{users: map[uint32]lend.User{}}, Log: slog.New(slog.DiscardHandler),
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tree.Close() })
		for _, path := range []string{"", "volumes", "volumes/v"} {
			e, err := tree.Walk(t.Context(), RootID, path, true)
			if err != nil {
				t.Fatal(err)
			}
			if got := tree.MayStall(e.ID); got != want {
				t.Errorf("by the engine %s, %q may stall: %v", engine, path, got)
			}
		}
	}
}
