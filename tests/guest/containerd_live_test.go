package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thintree/tests/manifest"
)

// containerd is the daemon of that name with its devmapper snapshotter in a pool, and an image.
type containerd struct {
	*daemon
	dir, root string
	ctr       string // the command
	layer     string // the key of the image's snapshot
}

const containerdImage = "example.org/team/tiny:1"

func newContainerd(t *testing.T) *containerd {
	t.Helper()
	needsPrograms(t, "containerd", "ctr", "runc", "dmsetup", "losetup", "mkfs.ext4", "ldd")
	forContainers(t)
	dir := t.TempDir()
	c := &containerd{dir: dir, root: filepath.Join(dir, "root"), ctr: "ctr -a " + dir + "/socket "}
	metadata, data := loop(t, filepath.Join(dir, "metadata"), 4*mib), loop(t, filepath.Join(dir, "data"), 300*mib)
	sh(t, fmt.Sprintf("dmsetup create ctd-pool --table '0 %d thin-pool %s %s 128 0 1 skip_block_zeroing'", 300*mib/sectorBytes, metadata, data))
	write(t, dir, "config.toml", fmt.Sprintf(`version = 2
root = "%[1]s/root"
state = "%[1]s/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "%[1]s/socket"
[plugins."io.containerd.snapshotter.v1.devmapper"]
root_path = "%[1]s/root/io.containerd.snapshotter.v1.devmapper"
pool_name = "ctd-pool"
base_image_size = "32MB"
`, dir))
	c.daemon = runDaemon(t, c.ctr+"version", "containerd", "--config", dir+"/config.toml")
	sh(t, "tar -C "+shellRoot(t)+" -cf "+dir+"/layer.tar .")
	c.layer = "sha256:" + ociImage(t, dir, containerdImage)
	sh(t, c.ctr+"image import --snapshotter devmapper "+dir+"/image.tar")
	return c
}

// ociImage makes DIR/image.tar of DIR/layer.tar: an OCI image layout. It returns the layer's digest.
func ociImage(t *testing.T, dir, name string) (digest string) {
	t.Helper()
	return strings.TrimSpace(sh(t, fmt.Sprintf(`
cd %s; mkdir -p oci/blobs/sha256
digest() { sha256sum $1 | cut -d' ' -f1; }
describe() { cp $1 oci/blobs/sha256/$(digest $1); echo "\"mediaType\": \"application/vnd.oci.image.$2\", \"digest\": \"sha256:$(digest $1)\", \"size\": $(stat -c %%s $1)"; }
cat >config <<END
{"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sh", "-c", "echo ran >/ran; exec sleep 1000"]}, "rootfs": {"type": "layers", "diff_ids": ["sha256:$(digest layer.tar)"]}}
END
cat >manifest <<END
{"schemaVersion": 2, "config": {$(describe config config.v1+json)}, "layers": [{$(describe layer.tar layer.v1.tar)}]}
END
cat >oci/index.json <<END
{"schemaVersion": 2, "manifests": [{$(describe manifest manifest.v1+json), "annotations": {"io.containerd.image.name": "%s"}}]}
END
echo '{"imageLayoutVersion": "1.0.0"}' >oci/oci-layout
tar -C oci -cf image.tar .
digest layer.tar`, dir, name)))
}

// device is the device of a snapshot as its mounts have it.
func (c *containerd) device(t *testing.T, key string) string {
	t.Helper()
	out := strings.Fields(sh(t, c.snapshots("mounts /nowhere "+key)))
	if len(out) < 4 || out[0] != "mount" {
		t.Fatalf("the mounts of %s are %q", key, out)
	}
	return out[3]
}

func (c *containerd) snapshots(command string) string {
	return c.ctr + "snapshots --snapshotter devmapper " + command
}

// mounted is what a device holds.
func (c *containerd) mounted(t *testing.T, device string) manifest.Manifest {
	t.Helper()
	dir := t.TempDir()
	sh(t, "mount -o ro,noload "+device+" "+dir)
	defer sh(t, "umount "+dir)
	return shown(t, dir)
}

// round makes snapshots and removes them, some of them committed ones, and sometimes a container that runs. mnt is the
// tree, "" if there is none.
func (c *containerd) round(t *testing.T, p pace, n int, mnt string) {
	t.Helper()
	key := fmt.Sprint("work-", n)
	p.run(t, "prepare", c.snapshots("prepare "+key+" "+c.layer))
	device := c.device(t, key)
	dir := t.TempDir()
	sh(t, fmt.Sprintf("mount %s %s; seq %d 20000 >%[2]s/numbers-%[3]d; echo changed >%[2]s/etc/name; rm %[2]s/etc/link; umount %[2]s", device, dir, n))
	look := mnt != "" && n%5 == 0
	if look {
		sameWithin(t, c.mounted(t, device), c.shownAs(mnt, key))
	}
	if n%3 == 1 {
		done, view := fmt.Sprint("done-", n), fmt.Sprint("view-", n)
		p.run(t, "commit", c.snapshots("commit "+done+" "+key))
		p.run(t, "view", c.snapshots("view "+view+" "+done))
		if look {
			want := c.mounted(t, c.device(t, view))
			sameWithin(t, want, c.shownAs(mnt, view))
			sameWithin(t, want, c.shownAs(mnt, done))
		}
		p.run(t, "rm", c.snapshots("rm "+view))
		p.run(t, "rm", c.snapshots("rm "+done))
		if look {
			shownWithin(t, c.shownAs(mnt, view), false)
			shownWithin(t, c.shownAs(mnt, done), false)
		}
	} else {
		p.run(t, "rm", c.snapshots("rm "+key))
	}
	if look {
		shownWithin(t, c.shownAs(mnt, key), false)
	}
	if n%6 == 0 {
		c.container(t, p, fmt.Sprint("box-", n), mnt, look)
	}
}

func (c *containerd) shownAs(mnt, key string) string {
	return filepath.Join(mnt, "snapshots/default", key)
}

// container makes a container, runs it, and removes it.
func (c *containerd) container(t *testing.T, p pace, id, mnt string, look bool) {
	t.Helper()
	p.run(t, "create", c.ctr+"containers create --snapshotter devmapper "+containerdImage+" "+id)
	p.run(t, "start", c.ctr+"tasks start --detach "+id)
	if look {
		rootfs := filepath.Join(c.dir, "state/io.containerd.runtime.v2.task/default", id, "rootfs")
		shownWithin(t, rootfs+"/ran", true)
		container := filepath.Join(mnt, "containers/default", id)
		sameWithin(t, shown(t, rootfs), container)
		volume, err := os.Readlink(container)
		noError(t, err)
		if text := sh(t, "cat "+filepath.Join(mnt, "info", filepath.Base(volume)+".json")); !strings.Contains(text, "default/"+id) {
			t.Errorf("info of %s says\n%s", id, text)
		}
	}
	p.run(t, "stop", c.ctr+"tasks delete --force "+id)
	p.run(t, "delete", c.ctr+"containers rm "+id)
	if look {
		shownWithin(t, filepath.Join(mnt, "containers/default", id), false)
	}
}

// sameWithin waits until a folder of the tree holds what it should.
func sameWithin(t *testing.T, want manifest.Manifest, dir string) {
	t.Helper()
	within(t, seconds, dir+" is shown as the kernel shows it", func() error {
		got, err := manifest.OfDir(t.Context(), dir, manifest.Options{})
		if err != nil {
			return err
		}
		if diff := manifest.Diff(want, got); diff != "" {
			return fmt.Errorf("%s", diff)
		}
		return nil
	})
}

func TestContainerdBesideTheTree(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		c := newContainerd(t)
		alone, beside := make(pace), make(pace)
		for n := range 7 {
			c.round(t, alone, n, "")
		}
		noneIsActive(t)
		mnt := mountTree(t, "containerd:"+c.root)
		image := filepath.Join(mnt, "images/default", containerdImage)
		halt := walkAlways(t, mnt, image)
		defer halt()
		for n := range 18 {
			c.round(t, beside, n, mnt)
		}
		noneIsActive(t)
		c.stop(t)
		c.start(t, c.ctr+"version")
		sh(t, c.snapshots("prepare last "+c.layer))
		sameWithin(t, c.mounted(t, c.device(t, "last")), c.shownAs(mnt, "last"))
		sameWithin(t, shown(t, image), c.shownAs(mnt, "last"))
		halt()
		beside.holds(t, alone)
		for _, line := range c.complaints(t) {
			t.Errorf("containerd complains: %s", line)
		}
	})
}
