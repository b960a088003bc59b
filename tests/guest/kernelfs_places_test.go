package guest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"thintree/tests/manifest"
)

// TestVolumesWithoutHandles mounts trees of volumes of whose files the kernel makes no
// handles by number.
func TestVolumesWithoutHandles(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		const disc, torn = 1, 2
		p := newPool(t, t.TempDir())
		t.Run("an open folder outlives the close", func(t *testing.T) { folderOutlives(t, p, disc) })
		t.Run("a journal is replayed or refused", func(t *testing.T) { replayedOrRefused(t, p, torn) })
	})
}

// folderOutlives keeps a process in a folder of a volume while the volume is closed and
// opened again.
func folderOutlives(t *testing.T, p *pool, id int) {
	const sectors = volumeBytes / sectorBytes
	loadModule(t, "isofs")
	p.create(t, id)
	dir, mnt := t.TempDir(), t.TempDir()
	sh(t, fmt.Sprintf(`
dmsetup create filled --table '0 %d thin /dev/mapper/pool %d'; cd %s
mkdir -p a/deep/folder b; echo known > a/deep/known; echo new > a/deep/folder/new; echo elsewhere > b/other
genisoimage -quiet -R -o /dev/mapper/filled .; sync /dev/mapper/filled; mount -o ro,utf8 /dev/mapper/filled %s`, sectors, id, dir, mnt))
	want, err := manifest.OfDir(t.Context(), mnt, manifest.Options{})
	noError(t, err)
	sh(t, "umount "+mnt+"; dmsetup remove filled")

	before := kernelState(t)
	names := writeText(t, fmt.Sprintf("%d %d disc\n", id, sectors))
	volume := filepath.Join(mountTree(t, "--idle", "1s", "--names", names, "pool:"+p.metadataFile+","+p.dataFile), "volumes/disc")
	equal(t, want, volume)

	shell := exec.Command("bash", "-c", `
cd "$1"/a/deep && cat known; read -r
cat known && ls . && cat folder/new ../../b/other`, "-", volume)
	in, err := shell.StdinPipe()
	noError(t, err)
	out, err := shell.StdoutPipe()
	noError(t, err)
	shell.Stderr = shell.Stdout
	noError(t, shell.Start())
	defer shell.Process.Kill()
	lines := bufio.NewScanner(out)
	prints := func(wanted string) {
		t.Helper()
		if !lines.Scan() || lines.Text() != wanted {
			t.Fatalf("the process in the folder prints %q, want %q", lines.Text(), wanted)
		}
	}
	prints("known")
	within(t, seconds, "the volume is closed", func() error { return sameState(t, before) })
	noError(t, in.Close())
	for _, wanted := range []string{"known", "folder", "known", "new", "elsewhere"} {
		prints(wanted)
	}
	noError(t, shell.Wait())
}

// replayedOrRefused looks at a volume whose journal the kernel does not leave as it is.
func replayedOrRefused(t *testing.T, p *pool, id int) {
	const sectors, live = 64 * mib / sectorBytes, 100
	p.create(t, live)
	mnt := t.TempDir()
	sh(t, fmt.Sprintf(`
dmsetup create live --table '0 %d thin /dev/mapper/pool %d'
mkreiserfs -q /dev/mapper/live; mount /dev/mapper/live %s; echo text > %[3]s/file; sync -f %[3]s
dmsetup suspend --nolockfs live; dmsetup message pool 0 'create_snap %d %[2]d'; dmsetup resume live
umount %[3]s; dmsetup remove live; dmsetup message pool 0 'delete %[2]d'`, sectors, live, mnt, id))
	source := []string{"--names", writeText(t, fmt.Sprintf("%d %d torn\n", id, sectors)), "pool:" + p.metadataFile + "," + p.dataFile}
	skipped := mountTree(t, append([]string{"--journal", "skip"}, source...)...)
	_, err := os.ReadDir(filepath.Join(skipped, "volumes/torn"))
	wants(t, "skipping its journal", err, unix.EROFS)
	replayed := mountTree(t, source...)
	if text, err := os.ReadFile(filepath.Join(replayed, "volumes/torn/file")); err != nil || string(text) != "text\n" {
		t.Errorf("with its journal replayed its file is %q, %v", text, err)
	}
}
