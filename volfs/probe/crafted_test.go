package probe

import (
	"context"
	"crypto/md5"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// block returns n bytes with values at offsets.
type block []byte

func newBlock(n int) block { return make(block, n) }

func (b block) text(off int, s string) block { copy(b[off:], s); return b }

func (b block) le16(off int, v uint16) block { le.PutUint16(b[off:], v); return b }

func (b block) le32(off int, v uint32) block { le.PutUint32(b[off:], v); return b }

func (b block) le64(off int, v uint64) block { le.PutUint64(b[off:], v); return b }

func (b block) be16(off int, v uint16) block { be.PutUint16(b[off:], v); return b }

func (b block) be32(off int, v uint32) block { be.PutUint32(b[off:], v); return b }

const (
	rawUUID  = "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef"
	textUUID = "01234567-89ab-cdef-0123-456789abcdef"
)

// blkidOf returns what blkid prints of a volume.
func blkidOf(t *testing.T, v sparse) map[string]string {
	t.Helper()
	need(t, "blkid")
	path := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(v.size); err != nil {
		t.Fatal(err)
	}
	for off, part := range v.parts {
		if _, err := f.WriteAt(part, off); err != nil {
			t.Fatal(err)
		}
	}
	return blkid(t, path)
}

// nvpair is a pair of a ZFS name-value list.
func nvpair(name string, kind uint32, value string) string {
	padded := name + strings.Repeat("\x00", -len(name)&3)
	b := newBlock(12+len(padded)+8).be32(8, uint32(len(name))).text(12, padded).
		be32(12+len(padded), kind).be32(16+len(padded), 1)
	return string(b.be32(0, uint32(len(b)+len(value)))) + value
}

func TestFormatsThatNoToolMakes(t *testing.T) {
	t.Parallel()
	lvm := newBlock(512).text(0, "LABELONE").le64(8, 1).le32(20, 32).text(24, "LVM2 001").
		text(32, "abcdefGHIJklmnOPQRstuvWXYZ012345").le64(64, 1<<30)
	lvm.le32(16, crc32Raw(0xf597a6cf, lvm[20:]))

	stratis := newBlock(512).text(4, "!Stra0tis\x86\xff\x02^\x41rh").le64(20, 2048).
		text(32, strings.Repeat("f", 32)).text(64, "0123456789abcdef0123456789abcdef")
	stratis.le32(0, crc32c(stratis[4:]))

	md := newBlock(512).le32(0, mdMagic).le32(4, 1).text(16, rawUUID).text(32, "host:0").le64(144, 8).le32(220, 3).le16(256, 7)
	sum := uint64(le.Uint16(md[260:]))
	for b := md[:260]; len(b) > 0; b = b[4:] {
		sum += uint64(le.Uint32(b))
	}
	md.le32(216, uint32(sum>>32)+uint32(sum))

	apfs := newBlock(4096).le16(24, 1).text(32, "NXSB").le32(36, 4096).le64(40, 1000).text(72, rawUUID)
	apfs.le64(0, fletcher64(apfs[8:]))

	hfsPlus := newBlock(512).text(0, "H+").be32(40, 4096).be32(44, 500).text(104, "12345678").be32(288, 2).be32(292, 4)
	catalogHeader := newBlock(512).be32(20, 1).be32(24, 1).be16(32, 4096)
	catalogLeaf := newBlock(4096).be16(10, 1).be32(16, 1).be16(20, 3).text(22, "\x00M\x00a\x00c")
	catalogLeaf[8] = 0xff
	hash := md5.Sum([]byte("\xb3\xe2\x0f\x39\xf2\x92\x11\xd6\x97\xa4\x00\x30\x65\x43\xec\xac12345678"))
	hash[6], hash[8] = 0x30|hash[6]&0xf, 0x80|hash[8]&0x3f
	hfs := newBlock(512).text(0, "BD").be16(18, 1000).be32(20, 512).be16(28, 5).text(36, "\x05Apple")

	zfsList := "\x01\x01\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x01" +
		nvpair("version", 8, "\x00\x00\x00\x00\x00\x00\x13\x88") + nvpair("name", 9, "\x00\x00\x00\x04tank") +
		nvpair("pool_guid", 8, "\x00\x00\x00\x00\x00\x00\x00\x07") + nvpair("guid", 8, "\x00\x00\x00\x00\x00\x00\x00\x09")

	for name, c := range map[string]struct {
		size  int64
		parts map[int64][]byte
		kind  Kind
		want  Signature
	}{
		"LVM2": {4 * mib, map[int64][]byte{512: lvm}, KindContainer, Signature{
			Type: "LVM2_member", Version: "LVM2 001", UUID: "abcdef-GHIJ-klmn-OPQR-stuv-WXYZ-012345", SizeBytes: 1 << 30}},
		"Stratis": {4 * mib, map[int64][]byte{9 * 512: stratis}, KindContainer, Signature{
			Type: "stratis", UUID: "01234567-89ab-cdef-0123-456789abcdef", SizeBytes: mib}},
		"RAID 1.2": {4 * mib, map[int64][]byte{4096: md}, KindContainer, Signature{
			Type: "linux_raid_member", Version: "1.2", Label: "host:0", UUID: textUUID}},
		"RAID 0.90": {4*mib + 5000, map[int64][]byte{4*mib - 65536: newBlock(64).le32(0, mdMagic).le32(8, 90).le32(20, 0x01234567).
			le32(32, 1024).le32(52, 0x89abcdef).le32(56, 0x01234567).le32(60, 0x89abcdef)}, KindContainer, Signature{
			Type: "linux_raid_member", Version: "0.90.0", UUID: textUUID}},
		"snapshot COW": {4 * mib, map[int64][]byte{0: []byte("SnAp\x01")}, KindContainer, Signature{Type: "DM_snapshot_cow"}},
		"VDO":          {4 * mib, map[int64][]byte{0: newBlock(64).text(0, "dmvdo001").text(40, rawUUID)}, KindContainer, Signature{Type: "vdo", UUID: textUUID}},
		"verity": {4 * mib, map[int64][]byte{0: newBlock(64).text(0, "verity\x00\x00\x01").text(16, rawUUID)}, KindContainer, Signature{
			Type: "DM_verity_hash", Version: "1", UUID: textUUID}},
		"integrity": {4 * mib, map[int64][]byte{0: []byte("integrt\x00\x05")}, KindContainer, Signature{Type: "DM_integrity", Version: "5"}},
		"BitLocker": {4 * mib, map[int64][]byte{
			0:    newBlock(512).text(0, "\xeb\x58\x90-FVE-FS-").le64(176, 4096),
			4096: newBlock(512).text(0, "-FVE-FS-").le16(10, 2).le32(64, 60).text(80, "\x67\x45\x23\x01\xab\x89\xef\xcd"+rawUUID[8:]).le16(112, 12).le16(114, 7).le16(116, 2).text(120, "C\x00:\x00"),
		}, KindContainer, Signature{Type: "BitLocker", Version: "2", Label: "C:", UUID: textUUID}},
		"ZFS": {64 * mib, map[int64][]byte{16384: []byte(zfsList)}, KindContainer, Signature{
			Type: "zfs_member", Version: "5000", Label: "tank", UUID: "7"}},
		"bcachefs": {16 * mib, map[int64][]byte{4096: newBlock(256).le16(16, 1<<10|7).text(24, bcachefsMagic).text(56, rawUUID).text(72, "b label").
			le64(104, 8).text(123, "\x01")}, KindFilesystem, Signature{Type: "bcachefs", Version: "1.7", Label: "b label", UUID: textUUID}},
		"APFS": {8 * mib, map[int64][]byte{0: apfs}, KindFilesystem, Signature{Type: "apfs", UUID: textUUID, SizeBytes: 4096000}},
		"HFS+": {8 * mib, map[int64][]byte{1024: hfsPlus, 8192: catalogHeader, 12288: catalogLeaf}, KindFilesystem, Signature{
			Type: "hfsplus", Label: "Mac", UUID: dashed(hash[:]), SizeBytes: 500 * 4096}},
		"HFS": {8 * mib, map[int64][]byte{1024: hfs}, KindFilesystem, Signature{Type: "hfs", Label: "Apple", SizeBytes: 1005*512 + 1024}},
		"UFS2 big-endian": {8 * mib, map[int64][]byte{65536: newBlock(1380).be32(52, 2048).be32(144, 0xabc).text(680, "bsd").
			be32(1084, 1000).be32(1372, 0x19540119)}, KindFilesystem, Signature{
			Type: "ufs", Version: "2", Label: "bsd", UUID: "00000abc00000000", SizeBytes: 2048000}},
		"UFS1": {8 * mib, map[int64][]byte{8192: newBlock(1380).le32(36, 1000).le32(52, 1024).le32(1372, 0x00011954)}, KindFilesystem, Signature{
			Type: "ufs", Version: "1", SizeBytes: 1024000}},
		"ReFS":       {8 * mib, map[int64][]byte{0: []byte("\x00\x00\x00ReFS\x00")}, KindFilesystem, Signature{Type: "ReFS"}},
		"squashfs 3": {8 * mib, map[int64][]byte{0: newBlock(96).text(0, "sqsh").be16(28, 3).be16(30, 1)}, KindFilesystem, Signature{Type: "squashfs3", Version: "3.1"}},
		"Reiser4":    {8 * mib, map[int64][]byte{65536: newBlock(64).text(0, "ReIsEr4").text(19, "\x10"+rawUUID+"four")}, KindFilesystem, Signature{Type: "reiser4", Version: "4", Label: "four", UUID: textUUID}},
		"suspend":    {8 * mib, map[int64][]byte{4086: []byte("S1SUSPEND"), 1024: newBlock(64).text(12, rawUUID)}, KindContainer, Signature{Type: "swsuspend", Version: "s1suspend", UUID: textUUID}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := Probe(context.Background(), sparse{c.size, c.parts})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(Result{Kind: c.kind, Signatures: []Signature{c.want}}, r); diff != "" {
				t.Error(diff)
			}
			t.Run("as blkid", func(t *testing.T) {
				known := blkidOf(t, sparse{c.size, c.parts})
				if known["TYPE"] == "" {
					t.Skipf("needs a blkid that knows the format: this one does not know %s", c.want.Type)
				}
				for tag, got := range map[string]string{"TYPE": c.want.Type, "LABEL": c.want.Label, "UUID": c.want.UUID} {
					if want, ok := known[tag]; ok && got != want {
						t.Errorf("%s is %q, blkid says %q", tag, got, want)
					}
				}
			})
		})
	}
}

func TestRAIDSuperblockOfTheLastPartitionIsNotTheDisks(t *testing.T) {
	t.Parallel()
	md := newBlock(64).le32(0, mdMagic).le32(8, 90).le32(20, 1).le32(32, 1024)
	v := sparse{4 * mib, map[int64][]byte{0: mbrSectorOf(entry{0xfd, 2048, 6144}), 4*mib - 65536: md}}
	if table := probeTable(t, v); len(table.Partitions) != 1 {
		t.Errorf("%+v", table)
	}
}

// broken is a volume that cannot be read from some byte on.
type broken struct {
	sparse
	from int64
}

func (b broken) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off+int64(len(p)) <= b.from {
		return b.sparse.ReadAt(ctx, p, off)
	}
	n := max(0, b.from-off)
	b.sparse.ReadAt(ctx, p[:n], off)
	return int(n), syscall.EIO
}

func TestUnreadablePartsAreAnErrorBesideWhatIsFound(t *testing.T) {
	t.Parallel()
	v := sparse{4 * mib, map[int64][]byte{0: []byte("integrt\x00\x05")}}
	r, err := Probe(context.Background(), broken{v, 4096})
	if !errors.Is(err, syscall.EIO) || r.Kind != KindContainer {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = Probe(context.Background(), broken{sparse{4 * mib, nil}, 4096})
	if !errors.Is(err, syscall.EIO) || r.Kind != KindUnknown {
		t.Errorf("zeros up to the damage: %+v, %v", r, err)
	}
}

// unread is a volume without data, which must not be read.
type unread struct{ sparse }

func (unread) NextData(context.Context, int64) (int64, error) { return 0, io.EOF }

func (unread) ReadAt(context.Context, []byte, int64) (int, error) { return 0, errors.New("read") }

func TestVolumeWithoutDataIsEmptyUnread(t *testing.T) {
	t.Parallel()
	r, err := Probe(context.Background(), unread{sparse{size: 4 * mib}})
	if r.Kind != KindEmpty || err != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestCancelledProbeEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Probe(ctx, sparse{size: 4 * mib}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
