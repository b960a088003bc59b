package ext4

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestZonesThatMeetAreJoinedAndThoseClaimedTwiceAreTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zones, joined, twice systemZones }{
		{nil, nil, nil},
		{systemZones{{5, 9}, {1, 3}}, systemZones{{1, 3}, {5, 9}}, nil},
		{systemZones{{3, 9}, {1, 3}}, systemZones{{1, 9}}, nil},
		{systemZones{{1, 9}, {3, 5}}, systemZones{{1, 9}}, systemZones{{3, 5}}},
		{systemZones{{1, 5}, {3, 9}, {9, 10}}, systemZones{{1, 10}}, systemZones{{3, 5}}},
		{systemZones{{1, 5}, {1, 5}, {1, 5}}, systemZones{{1, 5}}, systemZones{{1, 5}, {1, 5}}},
	} {
		joined, twice := merged(slices.Clone(c.zones))
		if !slices.Equal(joined, c.joined) || !slices.Equal(twice, c.twice) {
			t.Errorf("merged(%v) = %v, %v, want %v, %v", c.zones, joined, twice, c.joined, c.twice)
		}
	}
}

// The superblock tells of as many groups as a survey goes through, of which the volume
// has one.
func TestManyGroupsThatAreNotThereTakeNoTime(t *testing.T) {
	t.Parallel()
	v := load(t, plainImage(t, "-t", "ext2", "-O", "^resize_inode"))
	const groups, blocksPerGroup = 1 << 20, 8
	sb := v[superblockOffset:]
	binary.LittleEndian.PutUint32(sb[0x0:], groups*binary.LittleEndian.Uint32(sb[0x28:])) // s_inodes_count
	binary.LittleEndian.PutUint32(sb[0x4:], groups*blocksPerGroup)                        // s_blocks_count
	for _, off := range []int{0x20, 0x24} {                                               // s_blocks_per_group, s_clusters_per_group
		binary.LittleEndian.PutUint32(sb[off:], blocksPerGroup)
	}
	start := time.Now()
	fs := mustOpen(t, v)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if p := fs.Info().Problem; !strings.Contains(p, "of 1048576 group descriptors") {
		t.Errorf("problem %q", p)
	}
}
