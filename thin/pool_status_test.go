package thin

import (
	"strings"
	"testing"
)

func TestPoolStatusLineOfEachKernelIsParsed(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]PoolStatus{
		// Linux 3.2, then the words that later ones added
		"0 9/512 10/1024 -":    {Mode: ModeReadWrite, MetadataUsedBlocks: 9, MetadataTotalBlocks: 512, DataUsedBlocks: 10, DataTotalBlocks: 1024},
		"7 9/512 10/1024 300":  {Mode: ModeReadWrite, TransactionID: 7, MetadataUsedBlocks: 9, MetadataTotalBlocks: 512, DataUsedBlocks: 10, DataTotalBlocks: 1024, HeldRoot: 300},
		"0 9/512 10/1024 - ro": {Mode: ModeReadOnly, MetadataUsedBlocks: 9, MetadataTotalBlocks: 512, DataUsedBlocks: 10, DataTotalBlocks: 1024},
		"1 2/3 4/5 - rw discard_passdown": {
			Mode: ModeReadWrite, TransactionID: 1, MetadataUsedBlocks: 2, MetadataTotalBlocks: 3, DataUsedBlocks: 4, DataTotalBlocks: 5, Discard: "discard_passdown",
		},
		"1 2/3 4/5 - out_of_data_space no_discard_passdown queue_if_no_space": {
			Mode: ModeOutOfDataSpace, TransactionID: 1, MetadataUsedBlocks: 2, MetadataTotalBlocks: 3, DataUsedBlocks: 4, DataTotalBlocks: 5, Discard: "no_discard_passdown",
		},
		"1 2/3 4/5 - rw ignore_discard error_if_no_space - 1024 ": {
			Mode: ModeReadWrite, TransactionID: 1, MetadataUsedBlocks: 2, MetadataTotalBlocks: 3, DataUsedBlocks: 4, DataTotalBlocks: 5, Discard: "ignore_discard",
			ErrorIfNoSpace: true, MetadataLowWaterBlocks: 1024,
		},
		"1 2/3 4/5 - ro discard_passdown queue_if_no_space needs_check 9": {
			Mode: ModeReadOnly, TransactionID: 1, MetadataUsedBlocks: 2, MetadataTotalBlocks: 3, DataUsedBlocks: 4, DataTotalBlocks: 5, Discard: "discard_passdown",
			NeedsCheck: true, MetadataLowWaterBlocks: 9,
		},
		"1 2/3 4/5 - rw a_word_of_tomorrow": {
			Mode: ModeReadWrite, TransactionID: 1, MetadataUsedBlocks: 2, MetadataTotalBlocks: 3, DataUsedBlocks: 4, DataTotalBlocks: 5,
		},
		"Fail":  {Mode: ModeFailed},
		"Error": {Mode: ModeError},
	} {
		if got, err := ParsePoolStatus(line); err != nil || got != want {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
}

func TestWrongPoolStatusLineIsAnError(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"", "-", "rw", "Fail rw", "0", "0 1/2", "0 1/2 3/4", "x 1/2 3/4 -", "0 1 3/4 -", "0 1/2 3/4/5 -", "0 1/2 /4 -", "0 1/2 3/ -",
		"0 1/2 3/4 x", "-1 1/2 3/4 -", "0 1/99999999999999999999 3/4 -",
	} {
		if got, err := ParsePoolStatus(line); err == nil {
			t.Errorf("%q: %+v", line, got)
		}
	}
}

func FuzzStatus(f *testing.F) {
	f.Add("1 2/3 4/5 6 rw discard_passdown queue_if_no_space needs_check 7")
	f.Add("256 32767")
	f.Fuzz(func(t *testing.T, line string) {
		s, err := ParsePoolStatus(line)
		if err == nil && s.Mode != ModeFailed && s.Mode != ModeError && len(strings.Fields(line)) < 4 {
			t.Errorf("%+v", s)
		}
		if d, err := ParseDeviceStatus(line); err == nil && d.Failed && d != (DeviceStatus{Failed: true}) {
			t.Errorf("%+v", d)
		}
	})
}
