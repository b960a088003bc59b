package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// group is a disk with a volume group of LVM, which has one thin pool.
type group struct {
	disk   string // the path of its image
	device string // a loop device of it
	name   string
}

// extentBytes is the length of an extent of the group.
const extentBytes = 1 << 20

// makeGroup makes a disk with a group that has thin volumes. Each volume is the whole of an
// image of some MiB, as those of [bench.pool] are.
func (b *bench) makeGroup(name, image string, mib int, volumes ...string) (*group, error) {
	g := &group{disk: b.path(name), name: "thintree-bench-" + name}
	areaMiB, poolMiB := 1+len(volumes)/1000, metadataMiB(len(volumes))
	text := groupText{name: g.name, start: int64(areaMiB) << 20, pool: poolMiB, data: mib, volumes: volumes}
	if err := os.WriteFile(g.disk, text.head(), 0o644); err != nil {
		return nil, err
	}
	if err := b.sh(fmt.Sprintf("truncate -s %dM %s && dd if=%s of=%s bs=1M seek=%d conv=notrunc status=none", areaMiB+poolMiB+mib, g.disk, image, g.disk, areaMiB+poolMiB)); err != nil {
		return nil, err
	}
	half, err := b.loopDevice("--offset", fmt.Sprint(areaMiB<<20), "--sizelimit", fmt.Sprint(poolMiB<<20), g.disk)
	if err != nil {
		return nil, err
	}
	if err := b.restore(half, mib, len(volumes)); err != nil {
		return nil, err
	}
	if err := b.freeLoop(half); err != nil {
		return nil, err
	}
	g.device, err = b.loopDevice("--read-only", g.disk)
	return g, err
}

// loopDevice makes a loop device, which ends with the bench.
func (b *bench) loopDevice(args ...string) (string, error) {
	out, err := exec.Command("losetup", append([]string{"--find", "--show"}, args...)...).Output()
	if err != nil {
		return "", fmt.Errorf("losetup: %w", err)
	}
	device := strings.TrimSpace(string(out))
	b.loops = append(b.loops, device)
	return device, nil
}

func (b *bench) freeLoop(device string) error {
	b.loops = slices.DeleteFunc(b.loops, func(d string) bool { return d == device })
	return b.sh("losetup --detach " + device)
}

// lvm runs a program of LVM on the group's disk. There need not be a device-mapper.
func (g *group) lvm(program string, args ...string) func() error {
	args = append(args, "--driverloaded", "n", "--readonly", "--config", fmt.Sprintf(
		`devices { filter = [ "a|^%s$|", "r|.*|" ] use_devicesfile = 0 obtain_device_list_from_udev = 0 hints = "none" } global { use_lvmlockd = 0 }`, g.device), g.name)
	return func() error {
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "LVM_SUPPRESS_FD_WARNINGS=1")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err == nil && len(out) == 0 {
			err = errors.New("nothing is listed")
		}
		if err != nil {
			return fmt.Errorf("%s: %w: %s", program, err, stderr.String())
		}
		return nil
	}
}

// groupText is what the head of a group's disk says.
type groupText struct {
	name       string
	start      int64 // of the first extent, in bytes
	pool, data int   // the lengths of the pool's halves, in extents
	volumes    []string
}

// text writes the metadata as LVM writes them to a disk.
func (g groupText) text() []byte {
	var b bytes.Buffer
	ids := 0
	id := func() string { // unique, and of the letters that LVM takes
		ids++
		return fmt.Sprintf("bench0-0000-0000-0000-0000-0000-%06d", ids)
	}
	fmt.Fprintf(&b, "%s {\nid = %q\nseqno = 1\nformat = \"lvm2\"\nstatus = [\"RESIZEABLE\", \"READ\", \"WRITE\"]\nflags = []\nextent_size = %d\nmax_lv = 0\nmax_pv = 0\nmetadata_copies = 0\n\n",
		g.name, id(), extentBytes/512)
	fmt.Fprintf(&b, "physical_volumes {\n\npv0 {\nid = %q\ndevice = \"/dev/sda\"\n\nstatus = [\"ALLOCATABLE\"]\nflags = []\ndev_size = %d\npe_start = %d\npe_count = %d\n}\n}\n\nlogical_volumes {\n",
		diskID, (g.start+int64(g.pool+g.data)*extentBytes)/512, g.start/512, g.pool+g.data)
	volume := func(name, status string, extents int, kind string, rest ...string) {
		fmt.Fprintf(&b, "\n%s {\nid = %q\nstatus = [%s]\nflags = []\ncreation_time = 1700000000\ncreation_host = \"host\"\nsegment_count = 1\n\nsegment1 {\nstart_extent = 0\nextent_count = %d\n\ntype = %q\n%s\n}\n}\n",
			name, id(), status, extents, kind, strings.Join(rest, "\n"))
	}
	const visible = `"READ", "WRITE", "VISIBLE"`
	volume("pool", visible, g.data, "thin-pool", `metadata = "pool_tmeta"`, `pool = "pool_tdata"`, "transaction_id = 1", fmt.Sprintf("chunk_size = %d", dataBlockBytes/512), `discards = "passdown"`, "zero_new_blocks = 1")
	for i, name := range g.volumes {
		volume(name, visible, g.data, "thin", `thin_pool = "pool"`, "transaction_id = 0", fmt.Sprintf("device_id = %d", i+1))
	}
	on := func(extent int) string {
		return fmt.Sprintf("stripe_count = 1\n\nstripes = [\n\"pv0\", %d\n]", extent)
	}
	volume("pool_tmeta", `"READ", "WRITE"`, g.pool, "striped", on(0))
	volume("pool_tdata", `"READ", "WRITE"`, g.data, "striped", on(g.pool))
	b.WriteString("}\n\n}\ncontents = \"Text Format Volume Group\"\nversion = 1\n\ndescription = \"\"\n\ncreation_host = \"host\"\ncreation_time = 1700000000\n\n\x00")
	return b.Bytes()
}

// diskID is the disk's id.
const diskID = "benchd-isk0-0000-0000-0000-0000-000000"

// head writes the disk up to the first extent: its label, and one metadata area with the text.
func (g groupText) head() []byte {
	const areaAt, headerBytes = 4096, 512
	p := make([]byte, g.start)
	le := binary.LittleEndian
	numbers := func(at int, list ...uint64) {
		for i, n := range list {
			le.PutUint64(p[at+8*i:], n)
		}
	}
	label := p[512:1024]
	copy(label, "LABELONE")
	le.PutUint64(label[8:], 1)   // the sector
	le.PutUint32(label[20:], 32) // where pv_header begins
	copy(label[24:], "LVM2 001")
	copy(label[32:], strings.ReplaceAll(diskID, "-", ""))
	numbers(512+64, uint64(g.start)+uint64(g.pool+g.data)*extentBytes, uint64(g.start), 0, 0, 0, areaAt, uint64(g.start)-areaAt, 0, 0)
	le.PutUint32(label[64+8*9:], 2) // the version of pv_header_extension
	le.PutUint32(label[64+8*9+4:], 1)
	le.PutUint32(label[16:], lvmCRC(label[20:]))

	text := g.text()
	copy(p[areaAt+headerBytes:], text)
	area := p[areaAt:][:headerBytes]
	copy(area[4:], " LVM2 x[5A%r0N*>")
	le.PutUint32(area[20:], 1) // the version
	numbers(areaAt+24, areaAt, uint64(g.start)-areaAt, headerBytes, uint64(len(text)))
	le.PutUint32(area[56:], lvmCRC(text))
	le.PutUint32(area, lvmCRC(area[4:]))
	return p
}

// lvmCRC is LVM's checksum.
func lvmCRC(p []byte) uint32 {
	const initial uint32 = 0xf597a6cf
	return ^crc32.Update(^initial, crc32.IEEETable, p)
}
