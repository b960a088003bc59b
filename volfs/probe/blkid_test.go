package probe

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// need skips a test if a program is missing.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("needs %s:", program)
	}
}

// image makes a file of a size and runs shell commands on it: $1 is the file, $2
// a folder with some files in it.
func image(t *testing.T, bytes int64, commands string) string {
	t.Helper()
	dir := t.TempDir()
	path, tree := filepath.Join(dir, "image"), filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "hello"), []byte(strings.Repeat("hello\n", 1000)), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(bytes); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-ec", commands, "sh", path, tree)
	out, err := cmd.CombinedOutput()
	if err != nil && os.Getuid() != 0 && strings.Contains(string(out), "cannot check mount status") {
		t.Skip("needs root: mkfs.btrfs looks into the loop devices that somebody has attached")
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", commands, err, out)
	}
	return path
}

// blkid returns what blkid prints of a file. "AMBIVALENT" is set if it finds several
// signatures.
func blkid(t *testing.T, path string) map[string]string {
	t.Helper()
	out, err := exec.Command("blkid", "-p", "-o", "export", path).Output()
	tags := map[string]string{}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == 8:
		tags["AMBIVALENT"] = "1"
	case errors.As(err, &exit) && exit.ExitCode() == 2:
	case err != nil:
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			tags[name] = plain(value)
		}
	}
	return tags
}

// plain undoes blkid's spelling of bytes that are not printable ASCII: a backslash before
// them, ^X for control characters, M- for bytes with the top bit.
func plain(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		top, control := byte(0), byte(0)
		if strings.HasPrefix(s, "M-") {
			s, top = s[2:], 0x80
		}
		if s[0] == '^' {
			s, control = s[1:], 0x40
		}
		if s[0] == '\\' {
			s = s[1:]
		}
		b.WriteByte(s[0] ^ control | top)
		s = s[1:]
	}
	return b.String()
}

// compareWithBlkid compares a probe with blkid's. It allows for what blkid does only since
// version 2.38: versions of more formats, and that the boot sector of exFAT is no
// partition table.
func compareWithBlkid(t *testing.T, path string) Result {
	t.Helper()
	r, err := Probe(context.Background(), openFile(t, path))
	if err != nil {
		t.Fatal(err)
	}
	want := blkid(t, path)
	var sig Signature
	if len(r.Signatures) == 1 {
		sig = r.Signatures[0]
	}
	var table Table
	if r.Table != nil {
		table = *r.Table
	}
	for name, got := range map[string]string{
		"TYPE": sig.Type, "LABEL": sig.Label, "UUID": sig.UUID, "VERSION": sig.Version,
		"PTTYPE": table.Type, "PTUUID": table.UUID,
	} {
		if name == "VERSION" && want[name] == "" || name == "PTTYPE" && sig.Type == "exfat" {
			continue
		}
		if got != want[name] {
			t.Errorf("%s is %q, blkid says %q", name, got, want[name])
		}
	}
	if (r.Kind == KindAmbivalent) != (want["AMBIVALENT"] != "") {
		t.Errorf("kind is %s, signatures %v; blkid says %v", r.Kind, r.Signatures, want)
	}
	return r
}

const mib = 1 << 20

func TestProbeAgreesWithBlkid(t *testing.T) {
	t.Parallel()
	need(t, "blkid")
	const whole = -1 // the size of the filesystem is the file's
	for name, c := range map[string]struct {
		size     int64
		program  string
		commands string
		kind     Kind
		implied  int64 // the expected SizeBytes
	}{
		"ext2":            {8 * mib, "mke2fs", `mke2fs -qt ext2 -L 'a label' $1`, KindFilesystem, whole},
		"ext3":            {32 * mib, "mke2fs", `mke2fs -qt ext3 $1`, KindFilesystem, whole},
		"ext4":            {32 * mib, "mke2fs", `mke2fs -qt ext4 -L sixteen_letters_ $1`, KindFilesystem, whole},
		"ext4 1k":         {32 * mib, "mke2fs", `mke2fs -qt ext4 -b 1024 -O ^metadata_csum,^64bit $1`, KindFilesystem, whole},
		"ext4 no journal": {32 * mib, "mke2fs", `mke2fs -qt ext4 -O ^has_journal $1`, KindFilesystem, whole},
		"ext4 floppy":     {1 * mib, "mke2fs", `mke2fs -qt ext4 $1`, KindFilesystem, whole},
		"jbd":             {32 * mib, "mke2fs", `mke2fs -qO journal_dev $1`, KindContainer, whole},
		"xfs":             {320 * mib, "mkfs.xfs", `mkfs.xfs -qL xfslabel $1`, KindFilesystem, whole},
		"xfs v4":          {64 * mib, "mkfs.xfs", `mkfs.xfs -q --unsupported -m crc=0 $1`, KindFilesystem, whole},
		"xfs 4k sectors":  {320 * mib, "mkfs.xfs", `mkfs.xfs -qs size=4096 $1`, KindFilesystem, whole},
		"btrfs":           {128 * mib, "mkfs.btrfs", `mkfs.btrfs -qL 'b tree' $1`, KindFilesystem, whole},
		"btrfs sha256":    {128 * mib, "mkfs.btrfs", `mkfs.btrfs -q --csum sha256 $1`, KindFilesystem, whole},
		"btrfs xxhash":    {128 * mib, "mkfs.btrfs", `mkfs.btrfs -q --csum xxhash $1`, KindFilesystem, whole},
		"vfat 12":         {2 * mib, "mkfs.vfat", `mkfs.vfat -F12 -n LABEL12 $1`, KindFilesystem, whole},
		"vfat floppy":     {1440 << 10, "mkfs.vfat", `mkfs.vfat -n FLOPPY $1`, KindFilesystem, whole},
		"vfat 16":         {64 * mib, "mkfs.vfat", `mkfs.vfat -F16 -n 'A LABEL' $1`, KindFilesystem, whole},
		"vfat 32":         {64 * mib, "mkfs.vfat", `mkfs.vfat -F32 -n LABEL32 $1`, KindFilesystem, whole},
		"vfat unlabelled": {64 * mib, "mkfs.vfat", `mkfs.vfat -F32 -S 4096 $1`, KindFilesystem, whole},
		"ntfs":            {16 * mib, "mkntfs", `mkntfs -qFL 'nt läbel' $1`, KindFilesystem, whole},
		"ntfs lone surrogates": {16 * mib, "mkntfs",
			`mkntfs -qFL ZQXJ $1 && LC_ALL=C sed -i 's/Z\x00Q\x00X\x00J\x00/\x00\xd8Q\x00\xff\xdfJ\x00/g' $1`, KindFilesystem, whole},
		"ext4 latin-1":  {32 * mib, "mke2fs", "mke2fs -qt ext4 -L $(printf 'caf\\351') $1", KindFilesystem, whole},
		"ntfs 64k":      {64 * mib, "mkntfs", `mkntfs -qF -c 65536 $1`, KindFilesystem, whole},
		"exfat":         {16 * mib, "mkfs.exfat", `mkfs.exfat -L ex-label $1`, KindFilesystem, whole},
		"exfat unnamed": {16 * mib, "mkfs.exfat", `mkfs.exfat $1`, KindFilesystem, whole},
		"f2fs":          {64 * mib, "mkfs.f2fs", `mkfs.f2fs -ql 'flash ü' $1`, KindFilesystem, whole},
		"squashfs":      {0, "mksquashfs", `mksquashfs $2 $1 -noappend -quiet`, KindFilesystem, 0},
		"erofs":         {0, "mkfs.erofs", `mkfs.erofs -Enoinline_data $1 $2`, KindFilesystem, whole},
		"nilfs2":        {129 * mib, "mkfs.nilfs2", `mkfs.nilfs2 -qL 'log' $1`, KindFilesystem, whole},
		"nilfs2 second": {129 * mib, "mkfs.nilfs2", `mkfs.nilfs2 -q $1; dd if=/dev/zero of=$1 bs=1k seek=1 count=1 conv=notrunc`, KindFilesystem, whole},
		"jfs":           {16 * mib, "mkfs.jfs", `mkfs.jfs -qL jfslabel $1`, KindFilesystem, whole},
		"reiserfs":      {64 * mib, "mkreiserfs", `mkreiserfs -qffl reiser $1`, KindFilesystem, whole},
		"reiserfs 3.5":  {64 * mib, "mkreiserfs", `mkreiserfs -qff --format 3.5 $1`, KindFilesystem, whole},
		"udf":           {16 * mib, "mkudffs", `mkudffs -l 'u d f' $1`, KindFilesystem, 0},
		"udf 2048":      {16 * mib, "mkudffs", `mkudffs -b 2048 -l 'ŭdf' $1`, KindFilesystem, 0},
		"udf 4096":      {32 * mib, "mkudffs", `mkudffs -b 4096 $1`, KindFilesystem, 0},
		"iso9660":       {0, "genisoimage", `genisoimage -quiet -V ISO_LABEL -o $1 $2`, KindFilesystem, whole},
		"iso9660 joliet lone surrogates": {0, "genisoimage",
			`genisoimage -quiet -J -R -V ZQXJ -o $1 $2 && LC_ALL=C sed -i 's/\x00Z\x00Q\x00X\x00J/\xd8\x00\x00Q\xdf\xff\x00J/g; s/ZQXJ/_Q_J/g' $1`, KindFilesystem, whole},
		"iso9660 joliet":  {0, "genisoimage", `genisoimage -quiet -J -R -V 'A joliet label of 24 ch' -o $1 $2`, KindFilesystem, whole},
		"iso9660 and udf": {0, "genisoimage", `genisoimage -quiet -udf -V BOTH -o $1 $2`, KindFilesystem, 0},
		"minix":           {4 * mib, "mkfs.minix", `mkfs.minix $1`, KindFilesystem, whole},
		"minix 2":         {4 * mib, "mkfs.minix", `mkfs.minix -2 $1`, KindFilesystem, whole},
		"minix 3":         {4 * mib, "mkfs.minix", `mkfs.minix -3 $1`, KindFilesystem, whole},
		"romfs":           {0, "genromfs", `genromfs -V 'rom label' -d $2 -f $1`, KindFilesystem, 0},
		"cramfs":          {0, "mkfs.cramfs", `mkfs.cramfs -n crammed $2 $1`, KindFilesystem, 0},
		"ocfs2":           {64 * mib, "mkfs.ocfs2", `mkfs.ocfs2 -qx -M local -L cluster -N 1 $1 </dev/null`, KindFilesystem, whole},
		"gfs2":            {64 * mib, "mkfs.gfs2", `mkfs.gfs2 -Oqp lock_nolock -j 1 -J 8 $1`, KindFilesystem, 0},
		"swap":            {4 * mib, "mkswap", `mkswap -L swapped $1`, KindContainer, whole},
		"swap 64k pages":  {4 * mib, "mkswap", `mkswap -p 65536 $1`, KindContainer, whole},
		"luks1":           {16 * mib, "cryptsetup", `echo secret | cryptsetup -q luksFormat --type luks1 --pbkdf-force-iterations 1000 $1 -`, KindContainer, 0},
		"luks2":           {32 * mib, "cryptsetup", `echo secret | cryptsetup -q luksFormat --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --label 'a secret' $1 -`, KindContainer, 0},
		"bcache":          {16 * mib, "make-bcache", `make-bcache -B $1`, KindContainer, 0},
		"bcache cache":    {16 * mib, "make-bcache", `make-bcache -C -b 64k $1`, KindContainer, 0},
		"empty":           {16 * mib, "true", `true`, KindEmpty, 0},
		"tiny":            {1024, "true", `printf data >$1; truncate -s 1024 $1`, KindUnknown, 0},
		"data":            {16 * mib, "true", `head -c 1M /dev/urandom | tr '\0' x | dd of=$1 conv=notrunc`, KindUnknown, 0},

		"ext4 and stale btrfs": {128 * mib, "mkfs.btrfs", `mkfs.btrfs -q $1; dd if=$1 of=$1.sb bs=64k skip=1 count=1; mke2fs -qFt ext4 $1; dd if=$1.sb of=$1 bs=64k seek=1 conv=notrunc`, KindAmbivalent, 0},
		"ext4 and stale swap":  {64 * mib, "mke2fs", `mke2fs -qFt ext4 $1; printf SWAP-SPACE | dd of=$1 bs=1 seek=4086 conv=notrunc`, KindAmbivalent, 0},
		"xfs under luks":       {320 * mib, "cryptsetup", `mkfs.xfs -q $1; echo secret | cryptsetup -q luksFormat --type luks1 --pbkdf-force-iterations 1000 $1 -`, KindContainer, 0},
		"ext4 in an old MBR":   {64 * mib, "sfdisk", `echo ',,83' | sfdisk -q $1; mke2fs -qFt ext4 $1`, KindFilesystem, whole},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			need(t, c.program)
			path := image(t, c.size, c.commands)
			r := compareWithBlkid(t, path)
			if r.Kind != c.kind {
				t.Errorf("kind is %s, want %s: %+v", r.Kind, c.kind, r)
			}
			if c.implied == 0 || len(r.Signatures) != 1 {
				return
			}
			want := c.implied
			if want == whole {
				st, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				want = st.Size()
			}
			if got := r.Signatures[0].SizeBytes; got != want {
				t.Errorf("the superblock implies %d bytes, want %d", got, want)
			}
		})
	}
}
