package pdata

import (
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"thintree/thin/block"
)

// dump is what thin_dump(8) writes and thin_restore(8) reads.
type dump struct {
	XMLName      xml.Name     `xml:"superblock"`
	Time         uint32       `xml:"time,attr"`
	Transaction  uint64       `xml:"transaction,attr"`
	Version      uint32       `xml:"version,attr"`
	BlockSize    uint32       `xml:"data_block_size,attr"`
	NrDataBlocks uint64       `xml:"nr_data_blocks,attr"`
	Devices      []dumpDevice `xml:"device"`
}

type dumpDevice struct {
	ID           uint32        `xml:"dev_id,attr"`
	MappedBlocks uint64        `xml:"mapped_blocks,attr"`
	Transaction  uint64        `xml:"transaction,attr"`
	CreationTime uint32        `xml:"creation_time,attr"`
	SnapTime     uint32        `xml:"snap_time,attr"`
	Mappings     []dumpMapping `xml:",any"`
}

type dumpMapping struct {
	XMLName xml.Name
	Begin   uint64 `xml:"origin_begin,attr"`
	Data    uint64 `xml:"data_begin,attr"`
	Length  uint64 `xml:"length,attr"`
	Block   uint64 `xml:"origin_block,attr"`
	Single  uint64 `xml:"data_block,attr"`
	Time    uint32 `xml:"time,attr"`
}

func (m dumpMapping) run() Run {
	if m.XMLName.Local == "single_mapping" {
		return mapped(m.Block, m.Single, 1, m.Time)
	}
	return mapped(m.Begin, m.Data, m.Length, m.Time)
}

// spec is the pool that a dump is of.
func (d *dump) spec() poolSpec {
	s := poolSpec{time: d.Time, transaction: d.Transaction, dataBlocks: d.NrDataBlocks, blockSectors: d.BlockSize}
	for _, dev := range d.Devices {
		ds := deviceSpec{DeviceDetails: DeviceDetails{
			ID: dev.ID, MappedBlocks: dev.MappedBlocks, TransactionID: dev.Transaction,
			CreationTime: dev.CreationTime, SnapshottedTime: dev.SnapTime, InMappings: true, InDetails: true,
		}}
		for _, m := range dev.Mappings {
			ds.mappings = append(ds.mappings, m.run())
		}
		s.devices = append(s.devices, ds)
	}
	return s
}

// xml writes a pool in the form that thin_restore reads.
func (s poolSpec) xml() string {
	var b strings.Builder
	fmt.Fprintf(&b, "<superblock uuid=\"\" time=\"%d\" transaction=\"%d\" flags=\"0\" version=\"2\" data_block_size=\"%d\" nr_data_blocks=\"%d\">\n",
		s.time, s.transaction, s.blockSectors, s.dataBlocks)
	for _, d := range s.devices {
		fmt.Fprintf(&b, "<device dev_id=\"%d\" mapped_blocks=\"%d\" transaction=\"%d\" creation_time=\"%d\" snap_time=\"%d\">\n",
			d.ID, d.MappedBlocks, d.TransactionID, d.CreationTime, d.SnapshottedTime)
		for _, r := range d.mappings {
			fmt.Fprintf(&b, "<range_mapping origin_begin=\"%d\" data_begin=\"%d\" length=\"%d\" time=\"%d\"/>\n", r.Virtual, r.Data, r.Length, r.Time)
		}
		b.WriteString("</device>\n")
	}
	b.WriteString("</superblock>\n")
	return b.String()
}

// tool runs a program of thin-provisioning-tools. It skips the test if the program is not
// installed.
func tool(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			tb.Skipf("needs %s of thin-provisioning-tools: %v", name, err)
		}
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		tb.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// needDirect skips the test if files in a folder cannot be opened with O_DIRECT, as the programs
// of thin-provisioning-tools open them.
func needDirect(tb testing.TB, dir string) {
	tb.Helper()
	fd, err := unix.Open(filepath.Join(dir, "direct"), unix.O_CREAT|unix.O_RDWR|unix.O_DIRECT, 0o600)
	if errors.Is(err, syscall.EINVAL) {
		tb.Skip("needs a temporary folder on a filesystem with O_DIRECT, which tmpfs may not have")
	}
	if err != nil {
		tb.Fatal(err)
	}
	unix.Close(fd)
}

// restore makes metadata with thin_restore and returns their path.
func restore(tb testing.TB, s poolSpec, sizeBytes int64) string {
	tb.Helper()
	dir := tb.TempDir()
	needDirect(tb, dir)
	in, out := filepath.Join(dir, "xml"), filepath.Join(dir, "metadata")
	if err := os.WriteFile(in, []byte(s.xml()), 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(out, nil, 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Truncate(out, sizeBytes); err != nil {
		tb.Fatal(err)
	}
	tool(tb, "thin_restore", "-q", "-i", in, "-o", out)
	return out
}

func openFile(tb testing.TB, path string) *Metadata {
	tb.Helper()
	f, err := block.Open(path, block.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { f.Close() })
	return mustOpen(tb, f, f.Size(), Options{})
}

// richPool has devices with many and few mappings, snapshots, and blocks that many devices
// share.
func richPool() poolSpec {
	s := poolSpec{time: 9, transaction: 12, dataBlocks: 50_000, blockSectors: 384}
	var origin []Run
	for i := range uint64(3000) {
		origin = append(origin, mapped(i*5, i*4, 1+i%3, uint32(i%3)))
	}
	for id := range uint32(6) {
		d := device(id*id+1, origin...)
		s.devices = append(s.devices, d)
		origin = append([]Run{mapped(0, 40_000+uint64(id)*10, 1, 4+id)}, origin[1:]...)
	}
	s.devices = append(s.devices, device(100), device(MaxDevices-1, mapped(1<<40, 49_999, 1, 9)))
	for i := range s.devices {
		for _, r := range s.devices[i].mappings {
			s.devices[i].MappedBlocks += r.Length
		}
	}
	return s
}

// readSpec reads a whole pool.
func readSpec(tb testing.TB, m *Metadata) poolSpec {
	tb.Helper()
	sb := m.Superblock()
	s := poolSpec{
		time: sb.Time, transaction: sb.TransactionID, dataBlocks: sb.DataSpaceMapRoot.NrBlocks, blockSectors: sb.DataBlockSize,
	}
	for d, err := range m.Devices(tb.Context()) {
		if err != nil {
			tb.Fatal(err)
		}
		s.devices = append(s.devices, deviceSpec{d, readRuns(tb, m, d.ID)})
	}
	return s
}

// readRuns reads all mappings of a device.
func readRuns(tb testing.TB, m *Metadata, id uint32) (runs []Run) {
	tb.Helper()
	d, err := m.Mappings(tb.Context(), id)
	if err != nil {
		tb.Fatal(err)
	}
	for r, err := range d.Runs(tb.Context(), 0, 1<<63) {
		if err != nil {
			tb.Fatal(err)
		}
		runs = append(runs, r)
	}
	return runs
}

// specs compares pools without the blocks of their roots.
var specs = cmp.Options{cmp.AllowUnexported(poolSpec{}, deviceSpec{}), cmpopts.IgnoreFields(DeviceDetails{}, "MappingRoot")}

func TestMetadataOfThinRestoreAreRead(t *testing.T) {
	t.Parallel()
	want := richPool()
	got := readSpec(t, openFile(t, restore(t, want, 16<<20)))
	if diff := cmp.Diff(want, got, specs); diff != "" {
		t.Errorf("(-restored +read)\n%s", diff)
	}
}

func TestReadsTheSameAsThinDump(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	needDirect(t, dir)
	path := filepath.Join(dir, "metadata")
	if err := os.WriteFile(path, build(richPool()).p, 0o600); err != nil {
		t.Fatal(err)
	}
	tool(t, "thin_check", path) // the builder of these tests makes valid metadata
	var d dump
	if err := xml.Unmarshal([]byte(tool(t, "thin_dump", path)), &d); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d.spec(), readSpec(t, openFile(t, path)), specs); diff != "" {
		t.Errorf("(-thin_dump +read)\n%s", diff)
	}
}
