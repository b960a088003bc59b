package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"thintree/fusefs/tree"
)

const someHash = "3d302c1317c9b31fc7fd0ec33e0b0f09a69c842eab1c139ae7a8cf0fc23d5aa9"

func TestOverviewHasARowForEachNameOfAVolume(t *testing.T) {
	t.Parallel()
	list := []tree.VolumeInfo{
		{Name: someHash, DeviceID: new(uint32(20))},
		{Name: someHash + "-init", DeviceID: new(uint32(19))},
		{Name: strings.Repeat("7", 64), DeviceID: new(uint32(7)), Images: []string{"web:2", "web:latest"}},
		{Name: strings.Repeat("e", 64), DeviceID: new(uint32(14)), Containers: []string{"ran"}},
		{Name: "@3", DeviceID: new(uint32(3))},
		{Name: "vg/root", DeviceID: new(uint32(1))},
	}
	var got [][2]string
	for _, row := range overview(list) {
		got = append(got, [2]string{row.name, row.id})
	}
	want := [][2]string{
		{"container:ran", "eeeeeeeeeeee"},
		{"image:web:2", "777777777777"},
		{"image:web:latest", "777777777777"},
		{"3d302c1317c9-init", "@19"},
		{"vg/root", "@1"},
		{"", "3d302c1317c9"},
		{"", "@3"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOverviewSaysTheStateOfAVolume(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]tree.VolumeInfo{
		"idle":       {},
		"may change": {Live: true},
		"in use":     {Live: true, InUseAs: "docker-7:0-12-abc"},
		"half-made":  {State: "half-made", Live: true},
		"problem":    {Damaged: true, State: "half-made", Problem: "checksum"},
	} {
		if got := overviewState(v); got != want {
			t.Errorf("%+v: %q, want %q", v, got, want)
		}
	}
}

func TestLongNamesAreCutInTheirMiddle(t *testing.T) {
	t.Parallel()
	const name = "image:registry.example.com/team/application:2025.11"
	for width, want := range map[int]string{
		len(name):     name,
		len(name) - 1: "image:registry.example.co…team/application:2025.11",
		20:            "image:regi…n:2025.11",
		0:             "image:re…2025.11",
		-40:           "image:re…2025.11",
	} {
		if got := ellipsis(name, width); got != want {
			t.Errorf("%d characters: %q, want %q", width, got, want)
		}
	}
	if got := ellipsis(strings.Repeat("ü", 16), 0); got != strings.Repeat("ü", 16) {
		t.Errorf("%q", got)
	}
}
