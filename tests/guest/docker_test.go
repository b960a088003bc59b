package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thintree/tests/manifest"
	"thintree/tests/pools"
)

// The volumes of the pool in docker-ext4 that the test changes.
const (
	writtenID = 20
	written   = "3d302c1317c9b31fc7fd0ec33e0b0f09a69c842eab1c139ae7a8cf0fc23d5aa9"
)

// readVolumes are those that it reads: the base device and the images' layers. The
// guest is slow, and all others hold the same files.
var readVolumes = []string{
	"base",
	"622ffbffe25c76e8242bfdb646d7ea1c35a76df60390be769033e92ce4636353",
	"7142713d95333654aca9df726cee3e776bee6a31b2ee6d361fd013ed062b5d20",
}

// TestDockerRootThatIsActive reads volumes of a Docker root while the kernel has its
// pool active, writes to another one, and makes snapshots of a third and deletes
// them.
func TestDockerRootThatIsActive(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		dir := mounted(t, loop(t, filepath.Join(t.TempDir(), "image"), 768*mib))
		if err := pools.Unpack(dir, "docker-ext4"); err != nil {
			t.Fatal(err)
		}
		root := filepath.Join(dir, "docker")
		files := filepath.Join(root, "devicemapper/devicemapper")
		p := &pool{metadataFile: filepath.Join(files, "metadata"), dataFile: filepath.Join(files, "data")}
		p.attach(t)
		log := filepath.Join(writable(t), "log")
		mnt := mountTree(t, "docker:"+root)
		if err := poolIs(mnt, "live"); err != nil {
			t.Error(err)
		}

		truth := pools.Truth(t, "docker-ext4")
		compared := make(chan error, 1)
		go func() { compared <- compareAll(mnt, truth) }()
		round := 0
		for done := false; !done || round < 5; round++ {
			select {
			case err := <-compared:
				done = true
				if err != nil {
					t.Error(err)
				}
			default:
			}
			sh(t, fmt.Sprintf("echo round %d >>%s; sync -f %s", round, log, log))
			sh(t, fmt.Sprintf("dmsetup message pool 0 'create_snap %d 1'", passing+round)) // of a device that is not active
			if round > 0 {
				p.delete(t, passing+round-1)
			}
			time.Sleep(300 * time.Millisecond) // the guest has one CPU
			if err := listed(mnt, []int{1, 2, 4, 7, 11, 12, 13, 14, 19, 20}, passing); err != nil {
				t.Error(err)
			}
		}
		t.Logf("%d rounds", round)
		within(t, seconds, "what was written last shows", func() error {
			text, err := os.ReadFile(filepath.Join(mnt, "volumes", written, "log"))
			if err == nil && !strings.HasSuffix(string(text), fmt.Sprintf("round %d\n", round-1)) {
				err = errors.New("not so")
			}
			return err
		})
	})
}

// writable is a folder at which the kernel has a volume mounted.
func writable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mounted-")
	if err != nil {
		t.Fatal(err)
	}
	const sizeBytes = 1 << 30
	sh(t, fmt.Sprintf("dmsetup create written --table '0 %d thin /dev/mapper/pool %d' && mount /dev/mapper/written %s", sizeBytes/sectorBytes, writtenID, dir))
	return dir
}

// compareAll holds volumes that nobody writes to against what the kernel showed of
// them.
func compareAll(mnt string, truth map[string]string) error {
	var errs []error
	for _, name := range readVolumes {
		want, err := manifest.Read(strings.NewReader(truth[name]))
		if err != nil {
			return err
		}
		got, err := manifest.OfDir(context.Background(), filepath.Join(mnt, "volumes", name), manifest.Options{})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if diff := manifest.Diff(want, got); diff != "" {
			errs = append(errs, fmt.Errorf("%s differs from what the kernel showed:\n%s", name, diff))
		}
	}
	return errors.Join(errs...)
}
