package probe

import (
	"context"
	"encoding/json"
	"hash/crc32"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sfdiskTable is a partition table as sfdisk prints it.
func sfdiskTable(t *testing.T, path string) Table {
	t.Helper()
	out, err := exec.Command("sfdisk", "-J", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var j struct {
		PartitionTable struct {
			Label, ID  string
			SectorSize int64
			Partitions []struct {
				Node, Type, Name, UUID string
				Start, Size            int64
			}
		}
	}
	if err := json.Unmarshal(out, &j); err != nil {
		t.Fatal(err)
	}
	pt := j.PartitionTable
	table := Table{Type: pt.Label, SectorBytes: pt.SectorSize, UUID: strings.ToLower(strings.TrimPrefix(pt.ID, "0x"))}
	for _, p := range pt.Partitions {
		part := Partition{
			OffsetBytes: p.Start * pt.SectorSize, LengthBytes: p.Size * pt.SectorSize,
			Name: p.Name, UUID: strings.ToLower(p.UUID), Type: strings.ToLower(p.Type),
		}
		for _, digit := range strings.TrimPrefix(p.Node, path) {
			part.Index = 10*part.Index + int(digit-'0')
		}
		if pt.Label == "dos" {
			part.Type = "0x" + part.Type
			part.Extended = p.Type == "5" || p.Type == "f" || p.Type == "85"
		}
		table.Partitions = append(table.Partitions, part)
	}
	return table
}

func TestPartitionTablesAgreeWithSfdisk(t *testing.T) {
	t.Parallel()
	need(t, "sfdisk")
	need(t, "blkid")
	for name, script := range map[string]string{
		"dos":          "label: dos\nlabel-id: 0xdeadbeef\n,20M,83\n,30M,82\n,,8e\n",
		"dos with gap": "label: dos\n/dev/x2: start=10M,size=8M,type=83\n/dev/x4: start=20M,size=8M,type=c\n",
		"dos logical":  "label: dos\n,10M,83\n,,5\n,10M,83\n,20M,82\n,,7\n",
		"dos many":     "label: dos\n,,f\n" + strings.Repeat(",2M,83\n", 20),
		"gpt":          "label: gpt\nsize=20M,type=U,name=\"EFI system\"\nsize=30M,type=S\ntype=L,name=Wurzel-ü\n",
		"gpt with gap": "label: gpt\n/dev/x3: size=20M\n/dev/x7: size=10M\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := image(t, 100*mib, "sfdisk -q $1 <<'EOF'\n"+script+"EOF\n")
			r := compareWithBlkid(t, path)
			if r.Kind != KindPartitionTable {
				t.Fatalf("kind is %s", r.Kind)
			}
			want := sfdiskTable(t, path)
			ignored := cmp.FilterPath(func(p cmp.Path) bool {
				return p.Last().String() == ".BackupOffsetBytes" || r.Table.Type == "dos" && p.String() == "Partitions.UUID"
			}, cmp.Ignore())
			if diff := cmp.Diff(want, *r.Table, ignored); diff != "" {
				t.Errorf("sfdisk - probe +:\n%s", diff)
			}
		})
	}
}

func TestDamagedGPTIsReadFromItsBackup(t *testing.T) {
	t.Parallel()
	need(t, "sfdisk")
	path := image(t, 64*mib, `printf 'label: gpt\n,20M\n,10M\n' | sfdisk -q $1; printf x | dd of=$1 bs=1 seek=1100 conv=notrunc`)
	r := compareWithBlkid(t, path)
	if r.Table == nil || !r.Table.FromBackup || len(r.Table.Partitions) != 2 || r.Table.BackupOffsetBytes != 512 {
		t.Errorf("%+v", r)
	}
}

func TestProtectiveMBRWithoutGPT(t *testing.T) {
	t.Parallel()
	need(t, "sfdisk")
	path := image(t, 64*mib, `echo ',,ee' | sfdisk -q --label dos $1`)
	r := compareWithBlkid(t, path)
	if r.Kind != KindPartitionTable || r.Table.Type != "PMBR" || len(r.Table.Partitions) != 0 {
		t.Errorf("%+v", r)
	}
}

func TestHybridMBR(t *testing.T) {
	t.Parallel()
	need(t, "sgdisk")
	path := image(t, 64*mib, `sgdisk -n 1:0:+20M -n 2:0:+10M -h 1 $1`)
	r := compareWithBlkid(t, path)
	if r.Table == nil || r.Table.Type != "gpt" || !r.Table.Hybrid || len(r.Table.Partitions) != 2 {
		t.Errorf("%+v", r)
	}
}

func TestGPTWithSectorsOf4KiB(t *testing.T) {
	t.Parallel()
	const sector = 4096
	entries := newBlock(4*gptEntryBytes).text(0, rawUUID).text(16, rawUUID).le64(32, 10).le64(40, 19)
	header := newBlock(512).text(0, "EFI PART").le32(12, gptHeaderBytes).le64(24, 1).le64(32, 999).le64(40, 6).le64(48, 990).
		text(56, rawUUID).le64(72, 2).le32(80, 4).le32(84, gptEntryBytes).le32(88, crc32.ChecksumIEEE(entries))
	header.le32(16, crc32.ChecksumIEEE(header[:gptHeaderBytes]))
	table := probeTable(t, sparse{1000 * sector, map[int64][]byte{
		0: mbrSectorOf(entry{mbrProtective, 1, 999}), sector: header, 2 * sector: entries,
	}})
	const uuid = "67452301-ab89-efcd-0123-456789abcdef"
	want := &Table{Type: "gpt", UUID: uuid, SectorBytes: sector, BackupOffsetBytes: 999 * sector, Partitions: []Partition{
		{Index: 1, OffsetBytes: 10 * sector, LengthBytes: 10 * sector, Type: uuid, UUID: uuid},
	}}
	if diff := cmp.Diff(want, table); diff != "" {
		t.Error(diff)
	}
}

func TestGPTOfATruncatedDisk(t *testing.T) {
	t.Parallel()
	need(t, "sfdisk")
	path := image(t, 64*mib, `printf 'label: gpt\n,20M\n,,\n' | sfdisk -q $1; truncate -s 32M $1`)
	r, err := Probe(context.Background(), openFile(t, path))
	if err != nil {
		t.Fatal(err)
	}
	if r.Table == nil || !r.Table.Truncated || len(r.Table.Partitions) != 2 ||
		r.Table.Partitions[0].BeyondEnd || !r.Table.Partitions[1].BeyondEnd {
		t.Errorf("%+v", r.Table)
	}
}

// entry is a partition in an MBR or a boot record, in sectors.
type entry struct {
	kind          byte
	start, length uint32
}

func mbrSectorOf(entries ...entry) []byte {
	b := make([]byte, 512)
	b[510], b[511] = 0x55, 0xaa
	for i, e := range entries {
		at := b[446+16*i:]
		at[4] = e.kind
		le.PutUint32(at[8:], e.start)
		le.PutUint32(at[12:], e.length)
	}
	return b
}

func probeTable(t *testing.T, v sparse) *Table {
	t.Helper()
	r, err := Probe(context.Background(), v)
	if err != nil {
		t.Fatal(err)
	}
	if r.Table == nil {
		t.Fatalf("no partition table: %+v", r)
	}
	return r.Table
}

func TestImpossiblePartitionsAreFlagged(t *testing.T) {
	t.Parallel()
	table := probeTable(t, sparse{1000 * 512, map[int64][]byte{
		0: mbrSectorOf(entry{0x83, 1, 100}, entry{0x83, 50, 10}, entry{0x83, 200, 100}, entry{0x83, 900, 101}),
	}})
	var got [][2]bool
	for _, p := range table.Partitions {
		got = append(got, [2]bool{p.Overlaps, p.BeyondEnd})
	}
	want := [][2]bool{{true, false}, {true, false}, {false, false}, {false, true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("overlaps, beyond end: %s", diff)
	}
}

func TestLogicalPartitionLoopsEnd(t *testing.T) {
	t.Parallel()
	for name, link := range map[string]uint32{"to itself": 0, "back": 10, "forward": 20} {
		table := probeTable(t, sparse{10000 * 512, map[int64][]byte{
			0:         mbrSectorOf(entry{0x05, 100, 9000}),
			100 * 512: mbrSectorOf(entry{0x83, 1, 5}, entry{0x05, 10, 5}),
			110 * 512: mbrSectorOf(entry{0x83, 1, 5}, entry{0x05, link, 5}),
			120 * 512: mbrSectorOf(entry{0x83, 1, 5}, entry{0x05, 10, 5}),
		}})
		want := 3
		if name == "forward" {
			want = 4
		}
		if len(table.Partitions) != want {
			t.Errorf("%s: %+v", name, table.Partitions)
		}
	}
}

func TestLogicalPartitionsAreBounded(t *testing.T) {
	t.Parallel()
	v := sparse{100000 * 512, map[int64][]byte{0: mbrSectorOf(entry{0x05, 1, 99000})}}
	for i := range uint32(2000) {
		v.parts[int64(1+10*i)*512] = mbrSectorOf(entry{0x83, 1, 5}, entry{0x05, 10 * (i + 1), 10})
	}
	if n := len(probeTable(t, v).Partitions); n > maxPartitions {
		t.Errorf("%d partitions", n)
	}
}
