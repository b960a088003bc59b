package block

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

func vhdFooter() []byte {
	b := make([]byte, vhdFooterBytes)
	copy(b, "conectix")
	copy(b[28:], "win ")
	var sum uint32
	for _, c := range b {
		sum += uint32(c)
	}
	binary.BigEndian.PutUint32(b[64:], ^sum)
	return b
}

func TestCheckRawNamesFormatAndCommand(t *testing.T) {
	t.Parallel()
	vdi := append(bytes.Repeat([]byte{' '}, 64), 0x7f, 0x10, 0xda, 0xbe)
	for _, c := range []struct{ contents, format, attach string }{
		{"QFI\xfb\x00\x00\x00\x03", "qcow2", "qemu-nbd -r -c /dev/nbd0 /x/disk.img"},
		{"QFI\xfb\x00\x00\x00\x01", "qcow", "qemu-nbd -r -c /dev/nbd0 /x/disk.img"},
		{"KDMV\x01\x00\x00\x00", "VMDK", "qemu-nbd -r -c /dev/nbd0 /x/disk.img"},
		{"# Disk DescriptorFile\nversion=1\n", "VMDK", "qemu-nbd -r -c /dev/nbd0 /x/disk.img"},
		{"vhdxfile\x00", "VHDX", "qemu-nbd -r -c /dev/nbd0 /x/disk.img"},
		{string(vhdFooter()) + "dynamic", "VHD", "qemu-nbd -r -f vpc -c /dev/nbd0 /x/disk.img"},
		{strings.Repeat("fixed", 2000) + string(vhdFooter()), "VHD", "qemu-nbd -r -f vpc -c /dev/nbd0 /x/disk.img"},
		{string(vdi), "VDI", "qemu-nbd -r -c /dev/nbd0 /x/disk.img"},
		{"EVF\x09\x0d\x0a\xff\x00\x01", "EWF (E01)", "ewfmount /x/disk.img DIR"},
		{"EVF2\x0d\x0a\x81\x00", "EWF (Ex01)", "ewfmount /x/disk.img DIR"},
		{"AFF10\x0d\x0a\x00", "AFF", "affuse /x/disk.img DIR"},
		{"\x28\xb5\x2f\xfd", "zstd", "zstd -dc </x/disk.img >RAW"},
		{"\x1f\x8b\x08\x00", "gzip", "gzip -dc </x/disk.img >RAW"},
		{"\xfd7zXZ\x00", "xz", "xz -dc </x/disk.img >RAW"},
	} {
		var e *FormatError
		err := CheckRaw(t.Context(), "/x/disk.img", model(c.contents))
		if !errors.As(err, &e) || *e != (FormatError{"/x/disk.img", c.format, c.attach}) {
			t.Errorf("%.10q: %v", c.contents, err)
		}
	}
}

func TestCheckRawAcceptsRawFiles(t *testing.T) {
	t.Parallel()
	badFooter := vhdFooter()
	badFooter[100]++
	for _, contents := range []string{
		"", "Q", "\x1f\x8b\x08\xff", strings.Repeat("\x00", 10000), string(badFooter),
	} {
		if err := CheckRaw(t.Context(), "x", model(contents)); err != nil {
			t.Errorf("%.10q: %v", contents, err)
		}
	}
}

func TestFormatErrorQuotesForTheShell(t *testing.T) {
	t.Parallel()
	err := CheckRaw(t.Context(), "it's a disk", model("QFI\xfb\x00\x00\x00\x03"))
	if want := `'it'\''s a disk'`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v lacks %s", err, want)
	}
}
