package cli

import "testing"

func TestVolumeIsAnIDOrTheNameOfADevice(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]volumeArg{
		"7": {id: 7}, "@7": {id: 7}, "0": {id: 0}, "007": {id: 7}, "16777215": {id: 1<<24 - 1},
		"seven": {name: "seven"}, "7th": {name: "7th"}, "-7": {name: "-7"}, "vg-root": {name: "vg-root"},
		"dm:7": {name: "7"}, "/dev/mapper/7": {name: "7"}, "dm:@7": {name: "@7"}, "dm:dm:7": {name: "dm:7"}, "/dev/mapper/seven": {name: "seven"},
	} {
		if got, err := parseVolume(arg); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", arg, got, err, want)
		}
	}
	for _, arg := range []string{"@", "@seven", "@-7", "@@7", "16777216", "99999999999999999999", "dm:", "/dev/mapper/"} {
		_, err := parseVolume(arg)
		if _, ok := err.(usageError); !ok {
			t.Errorf("%q: %v, want a wrong use", arg, err)
		}
	}
}

func TestArgumentForADeviceIsParsedBackToItsName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"seven", "7", "@7", "dm:7", "@", "7th"} {
		if got, err := parseVolume(deviceArg(name)); err != nil || got != (volumeArg{name: name}) {
			t.Errorf("%s: %q is %+v, %v", name, deviceArg(name), got, err)
		}
	}
}
