package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"thintree/tests/lender"
	"thintree/tests/loopmount"
	"thintree/tests/manifest"
)

// passthroughTree is a mounted tree of volumes that the kernel reads, over loop devices.
type passthroughTree struct {
	mnt    string
	files  string            // the folder that all volumes hold
	images map[string]string // of the volumes, by name
}

// passthroughVolumes are how the volumes are made, from the folder files into image.
var passthroughVolumes = []struct{ name, mkfs string }{
	{"ext4", "truncate -s 64M image && mkfs.ext4 -q -d files image"},
	{"btrfs", "truncate -s 128M image && mkfs.btrfs -q --rootdir files image"},
}

const passthroughBlock = 64 << 10 // of the pool, in bytes

// buildServer builds the program that serves these trees, beside the one under test.
var buildServer = sync.OnceValues(func() (string, error) { return lender.Build(filepath.Dir(program)) })

// mountPassthrough mounts a pool of these volumes. The test is skipped if the kernel
// passes nothing through.
func mountPassthrough(t *testing.T, idle time.Duration) passthroughTree {
	t.Helper()
	needs(t, root, fuseDevice, tool("mkfs.ext4"), tool("mkfs.btrfs"), tool("thin_restore"), tool("losetup"))
	dir := t.TempDir()
	p := passthroughTree{mnt: t.TempDir(), files: filepath.Join(dir, "files"), images: map[string]string{}}
	fillPassthroughFiles(t, p.files)
	var xml, names strings.Builder
	var lent []string
	at := 0
	for i, v := range passthroughVolumes {
		image := filepath.Join(dir, v.name)
		sh(t, dir, v.mkfs+" >/dev/null && mv image "+image+" && cat "+image+" >> data")
		st, err := os.Stat(image)
		if err != nil {
			t.Fatal(err)
		}
		blocks := int(st.Size()) / passthroughBlock
		fmt.Fprintf(&xml, `<device dev_id="%d" mapped_blocks="%d" transaction="0" creation_time="0" snap_time="0">
<range_mapping origin_begin="0" data_begin="%d" length="%d" time="0"/></device>`, i, blocks, at, blocks)
		fmt.Fprintln(&names, i, st.Size()/512, v.name)
		at += blocks
		p.images[v.name], lent = image, append(lent, fmt.Sprintf("%d=%s", i, image))
	}
	text := fmt.Sprintf(`<superblock uuid="" time="0" transaction="1" version="2" data_block_size="%d" nr_data_blocks="%d">%s</superblock>`, passthroughBlock/512, at, xml.String())
	sh(t, dir, "truncate -s 4M meta && thin_restore -q -i "+writeFile(t, text)+" -o meta >/dev/null")
	logged := logFile(t)
	out, err := os.Create(logged)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	server, err := buildServer()
	if err != nil {
		t.Fatal(err)
	}
	served, err := lender.Serve(server, out, append([]string{
		"-idle", idle.String(), filepath.Join(dir, "meta"), filepath.Join(dir, "data"), writeFile(t, names.String()), p.mnt,
	}, lent...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := served.Close(); err != nil {
			t.Error(err)
		}
		for name := range p.images {
			p.isFree(t, name)
		}
	})
	if strings.Contains(read(t, logged), "passes no files through") {
		t.Skip("needs a kernel that passes files through")
	}
	return p
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fillPassthroughFiles makes the files.
func fillPassthroughFiles(t *testing.T, dir string) {
	t.Helper()
	random := make([]byte, 2<<20+123)
	rand.NewChaCha8([32]byte{1}).Read(random)
	write(t, filepath.Join(dir, "dir/random"), string(random))
	write(t, filepath.Join(dir, "empty"), "")
	write(t, filepath.Join(dir, "small"), "hello\n")
	write(t, filepath.Join(dir, "sparse"), "begin")
	sh(t, dir, fmt.Sprintf("printf end | dd of=sparse bs=1 seek=%d conv=notrunc status=none; cp $(command -v cat) program; ln small hard; ln -s small link", 3<<20))
}

// isFree waits until no loop device is attached to a volume's image: the kernel has
// let go of all of it.
func (p passthroughTree) isFree(t *testing.T, volume string) {
	t.Helper()
	eventually(t, volume+" is free", func() bool { return p.devices(t, volume) == 0 })
}

// devices is how many loop devices are attached to a volume's image.
func (p passthroughTree) devices(t *testing.T, volume string) int {
	t.Helper()
	return strings.Count(sh(t, "/", "losetup -n -O NAME -j "+p.images[volume]), "\n")
}

func (p passthroughTree) path(volume, name string) string {
	return filepath.Join(p.mnt, "volumes", volume, name)
}

func openFile(t *testing.T, path string, flags int) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDONLY|flags, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestFilesPassedThroughAreAsOnTheKernelsOwnMount(t *testing.T) {
	t.Parallel()
	p := mountPassthrough(t, time.Minute)
	for _, v := range passthroughVolumes {
		native := t.TempDir()
		loopmount.Mount(t, p.images[v.name], native, "-o", "ro")
		want, err := manifestOf(native)
		sh(t, "/", "umount "+native)
		if err != nil {
			t.Fatal(err)
		}
		p.isFree(t, v.name)
		for range 2 { // the second time after all was read
			got, err := manifestOf(p.path(v.name, ""))
			if err != nil {
				t.Fatal(err)
			}
			if diff := manifest.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", v.name, diff)
			}
		}
	}
}

// manifestOf takes all of a folder, also where data are in its files, but inode numbers, which a tree has of its own.
func manifestOf(dir string) (manifest.Manifest, error) {
	m, err := manifest.OfDir(context.Background(), dir, manifest.Options{More: true})
	for _, e := range m {
		if e.More != nil {
			e.More.Ino, e.More.Entries = 0, nil
		}
	}
	return m, err
}

func TestFilesPassedThroughAreReadInEveryWay(t *testing.T) {
	t.Parallel()
	p := mountPassthrough(t, time.Minute)
	want := []byte(read(t, filepath.Join(p.files, "dir/random")))
	const off, length = 1<<20 + 4096, 512 << 10
	for _, v := range passthroughVolumes {
		f := openFile(t, p.path(v.name, "dir/random"), 0)
		for what, get := range map[string]func() ([]byte, error){
			"mmap": func() ([]byte, error) {
				mapped, err := unix.Mmap(int(f.Fd()), off, length, unix.PROT_READ, unix.MAP_SHARED)
				if err != nil {
					return nil, err
				}
				return bytes.Clone(mapped), unix.Munmap(mapped)
			},
			"O_DIRECT": func() ([]byte, error) {
				buf, err := unix.Mmap(-1, 0, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
				if err == nil {
					_, err = openFile(t, f.Name(), unix.O_DIRECT).ReadAt(buf, off)
				}
				return buf, err
			},
			"splice": func() ([]byte, error) {
				r, w, err := os.Pipe()
				if err != nil {
					return nil, err
				}
				defer r.Close()
				defer w.Close()
				at, buf := int64(off), make([]byte, length)
				for at < off+length {
					n, err := unix.Splice(int(f.Fd()), &at, int(w.Fd()), nil, int(off+length-at), 0)
					if err != nil {
						return nil, err
					}
					if _, err := io.ReadFull(r, buf[at-off-n:at-off]); err != nil {
						return nil, err
					}
				}
				return buf, nil
			},
			"sendfile": func() ([]byte, error) {
				to, err := os.CreateTemp(t.TempDir(), "")
				if err != nil {
					return nil, err
				}
				at, buf := int64(off), make([]byte, length)
				for at < off+length && err == nil {
					_, err = unix.Sendfile(int(to.Fd()), int(f.Fd()), &at, int(off+length-at))
				}
				to.ReadAt(buf, 0)
				return buf, errors.Join(err, to.Close())
			},
		} {
			got, err := get()
			if err != nil || !bytes.Equal(got, want[off:off+length]) {
				t.Errorf("%s: %s: %v, or other bytes", v.name, what, err)
			}
		}
		if n, err := f.ReadAt(make([]byte, 10), int64(len(want))-3); n != 3 || err != io.EOF {
			t.Errorf("%s: at the end: %d bytes, %v", v.name, n, err)
		}
		if n, err := f.ReadAt(make([]byte, 10), int64(len(want))+1<<20); n != 0 || err != io.EOF {
			t.Errorf("%s: beyond the end: %d bytes, %v", v.name, n, err)
		}
		if got := sh(t, "/", p.path(v.name, "program")+" "+p.path(v.name, "small")); got != "hello\n" {
			t.Errorf("%s: a program in it says %q", v.name, got)
		}
	}
}

func TestManyOpenOneFileThatIsPassedThroughAtOnce(t *testing.T) {
	t.Parallel()
	p := mountPassthrough(t, time.Minute)
	want := []byte(read(t, filepath.Join(p.files, "small")))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 500 {
				flags := 0
				if (n+i)%3 == 0 {
					flags = unix.O_DIRECT
				}
				f, err := os.OpenFile(p.path(passthroughVolumes[n%2].name, "small"), flags, 0)
				if err != nil {
					t.Error(err)
					return
				}
				if flags == 0 {
					if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, want) {
						t.Errorf("%q, %v", got, err)
					}
				}
				f.Close()
			}
		})
	}
	wg.Wait()
}

func TestVolumeOfAFilePassedThroughIsClosedAfterIt(t *testing.T) {
	t.Parallel()
	p := mountPassthrough(t, 100*time.Millisecond)
	f, g := openFile(t, p.path("ext4", "small"), 0), openFile(t, p.path("ext4", "small"), 0)
	openFile(t, p.path("btrfs", "small"), 0).Close()
	p.isFree(t, "btrfs")
	f.Close() // by whose descriptor both are passed through
	eventually(t, "one file is open", func() bool { return p.unmountBusy(t, 1) })
	if n := p.devices(t, "ext4"); n != 1 {
		t.Errorf("%d devices of a volume with an open file", n)
	}
	if _, err := g.ReadAt(make([]byte, 6), 0); err != nil {
		t.Error(err)
	}
	g.Close()
	p.isFree(t, "ext4")
}

// unmountBusy reports whether the volume ext4 cannot be unmounted because of a number of
// files.
func (p passthroughTree) unmountBusy(t *testing.T, files int) bool {
	t.Helper()
	r := thintree(t, "umount", "--volume", "ext4", p.mnt)
	return r.status == 1 && strings.Contains(r.stderr, fmt.Sprintf("busy: %d open files", files)) && strings.Contains(r.stderr, "--lazy")
}

func TestVolumeWithAFilePassedThroughIsUnmountedLazily(t *testing.T) {
	t.Parallel()
	p := mountPassthrough(t, time.Minute)
	f := openFile(t, p.path("ext4", "dir/random"), 0)
	if !p.unmountBusy(t, 1) {
		t.Fatal("it is not busy")
	}
	thintree(t, "umount", "--lazy", "--volume", "ext4", p.mnt).must(t)
	if n := poolOf(t, p.mnt, "pool").Open; n != 0 {
		t.Errorf("%d volumes are open", n)
	}
	if _, err := io.Copy(io.Discard, f); err != nil {
		t.Errorf("the open file: %v", err)
	}
	again := openFile(t, f.Name(), 0)
	if _, err := io.Copy(io.Discard, again); err != nil {
		t.Errorf("the file, opened anew: %v", err)
	}
	again.Close()
	f.Close()
	eventually(t, "it can be unmounted", func() bool { return thintree(t, "umount", "--volume", "ext4", p.mnt).status == 0 })
	p.isFree(t, "ext4")
}

func TestMappedFileThatIsPassedThroughKeepsItsDevice(t *testing.T) {
	t.Parallel()
	p := mountPassthrough(t, time.Minute)
	f := openFile(t, p.path("ext4", "dir/random"), 0)
	mapped, err := unix.Mmap(int(f.Fd()), 0, 1<<20, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if mapped != nil {
			unix.Munmap(mapped)
		}
	})
	f.Close()
	eventually(t, "it can be unmounted", func() bool { return thintree(t, "umount", "--volume", "ext4", p.mnt).status == 0 })
	if want := read(t, filepath.Join(p.files, "dir/random")); string(mapped) != want[:len(mapped)] {
		t.Error("what is mapped is not what the file holds")
	}
	if n := p.devices(t, "ext4"); n != 1 {
		t.Errorf("%d devices, want the one that what is mapped lies on", n)
	}
	err = unix.Munmap(mapped)
	mapped = nil
	if err != nil {
		t.Fatal(err)
	}
	p.isFree(t, "ext4")
}
