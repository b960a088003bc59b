package ext4

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestZonesThatTouchAreJoinedAndThoseClaimedTwiceAreReturned(t *testing.T) {
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

func TestClaimsAreTheSameInWhateverOrderZonesFollowEachOther(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		var c claims
		var times [100]int // how often each block is claimed
		for range random.IntN(20) {
			first := random.Uint64N(90)
			z := zone{first, first + random.Uint64N(10)}
			c.add(random.IntN(len(c.last)), z)
			for block := z.first; block < z.end; block++ {
				times[block]++
			}
			if random.IntN(10) == 0 {
				c.merge()
			}
		}
		c.merge()
		for block, n := range times {
			if c.zones.overlap(uint64(block), 1) != (n > 0) || c.twice.overlap(uint64(block), 1) != (n > 1) {
				t.Fatalf("block %d is claimed %d times: %+v", block, n, c)
			}
		}
	}
}

// badBlock is a volume with a block of 1024 bytes that cannot be read. Reads that
// reach it end before it, or fail as a whole.
type badBlock struct {
	memVolume
	block  int64
	before bool
}

func (v badBlock) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	start := v.block << 10
	if off+int64(len(p)) <= start || off >= start+1<<10 {
		return v.memVolume.ReadAt(ctx, p, off)
	}
	n := 0
	if v.before && off < start {
		n, _ = v.memVolume.ReadAt(ctx, p[:start-off], off)
	}
	return n, syscall.EIO
}

func TestADescriptorBlockThatCannotBeReadCostsItsOwnGroups(t *testing.T) {
	t.Parallel()
	const perBlock = 32 // descriptors of 32 bytes in blocks of 1024
	v := load(t, makeImage(t, "32M", nil, "-t", "ext2", "-b", "1024", "-g", "256", "-O", "^resize_inode"))
	groups := mustOpen(t, v).sb.groups
	if groups < 3*perBlock {
		t.Fatalf("only %d groups", groups)
	}
	for _, before := range []bool{true, false} {
		for bad := range int64(3) {
			fs := mustOpen(t, badBlock{v, 2 + bad, before}) // block 1 is the superblock
			want := fmt.Sprintf("%d of %d group descriptors are damaged", perBlock, groups)
			if p := fs.Info().Problem; !strings.HasPrefix(p, want) {
				t.Errorf("descriptor block %d: problem %q, want %q", bad, p, want)
			}
			for g := range groups {
				_, err := fs.group(t.Context(), g)
				if lost := int64(g/perBlock) == bad; lost != (err != nil) {
					t.Errorf("descriptor block %d: group %d: %v", bad, g, err)
				}
			}
			if _, err := fs.Statfs(t.Context()); err == nil {
				t.Errorf("descriptor block %d: Statfs counts what cannot be read", bad)
			}
		}
	}
}

// The superblock has as many groups as a survey reads. The volume has one of them.
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
