package guest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"thintree/tests/pools"
)

// madePools are the pools that scripts beside the archives make, and how each is read: by the
// arguments of thintree ls, for the folder in which the script or the archive has made it.
var madePools = []struct {
	name   string
	source func(t *testing.T, dir string) []string
}{
	{"docker-ext4", func(_ *testing.T, dir string) []string { return []string{"store:" + dir + "/docker/devicemapper"} }},
	{"containerd-ext4", func(t *testing.T, dir string) []string {
		return []string{"--names", containerdNames(t), fmt.Sprintf("pool:%s/ctd/meta,%[1]s/ctd/data", dir)}
	}},
	{"storage-ext4", func(_ *testing.T, dir string) []string {
		return []string{"--pool", fmt.Sprintf("%s/storage/meta,%[1]s/storage/data", dir), "store:" + dir + "/storage/root/devicemapper"}
	}},
	{"lvm-disk", lvmSource},
}

// TestScriptsMakePoolsLikeTheArchives runs the script beside each archive, and holds the pool
// that it makes against the archive's: the same volumes, with the same names, ids, sizes, origins
// and transactions, and the same kind of contents.
func TestScriptsMakePoolsLikeTheArchives(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		for _, p := range madePools {
			t.Run(p.name, func(t *testing.T) {
				if _, err := exec.LookPath("lvm"); err != nil && p.name == "lvm-disk" {
					t.Skipf("needs lvm: %v", err)
				}
				made, real := t.TempDir(), t.TempDir()
				before := hostState(t)
				sh(t, must(filepath.Abs("../pools/testdata/"+p.name+".sh"))+" "+made)
				if now := hostState(t); now != before {
					t.Errorf("the script has left\n%s\nbefore was\n%s", now, before)
				}
				noError(t, pools.Unpack(real, p.name))
				if p.name == "lvm-disk" {
					if diff := cmp.Diff(lvmGroup(t, real), lvmGroup(t, made)); diff != "" {
						t.Errorf("the archive's group and the script's (+):\n%s", diff)
					}
				}
				if diff := cmp.Diff(shapes(t, p.source(t, real)), shapes(t, p.source(t, made))); diff != "" {
					t.Errorf("the archive's pool and the script's (+):\n%s", diff)
				}
			})
		}
	})
}

// shape is what a script's volume has in common with the archive's.
type shape struct {
	Name            string `json:"name"`
	ID              uint32 `json:"device_id"`
	Role            string `json:"role"`
	SizeBytes       int64  `json:"size_bytes"`
	TransactionID   uint64 `json:"transaction_id"`
	CreationTime    uint32 `json:"creation_time"`
	SnapshottedTime uint32 `json:"snapshotted_time"`
	Holds           string `json:"holds"`
	Found           struct {
		Table struct {
			Partitions []struct {
				Index       int    `json:"index"`
				OffsetBytes int64  `json:"offset_bytes"`
				LengthBytes int64  `json:"length_bytes"`
				Type        string `json:"type"`
				Name        string `json:"name"`
			} `json:"partitions"`
		} `json:"partition_table"`
	} `json:"found"`
}

func shapes(t *testing.T, source []string) (list []shape) {
	t.Helper()
	noError(t, json.Unmarshal([]byte(tell(t, append([]string{"ls", "--json"}, source...)...)), &list))
	if len(list) == 0 {
		t.Fatalf("%q has no volumes", source)
	}
	return list
}

// containerdNames names the devices of containerd's pool as containerd does.
func containerdNames(t *testing.T) string {
	t.Helper()
	var names strings.Builder
	for id := 1; id <= 9; id++ {
		fmt.Fprintf(&names, "%d %d ctd-pool-snap-%[1]d\n", id, 512*mib/sectorBytes)
	}
	return writeText(t, names.String())
}

// lvmSource cuts the halves of the pool out of LVM's disk, where the archive has them.
func lvmSource(t *testing.T, dir string) []string {
	t.Helper()
	const (
		extent         = 4 * mib
		begin          = 1 * mib // of the first extent
		metadata, data = begin + 276*extent, begin + 20*extent
	)
	sh(t, fmt.Sprintf(`
cut() { dd if=%[1]s/disk.img of=%[1]s/$1 bs=1M iflag=skip_bytes,count_bytes skip=$2 count=$3 conv=sparse status=none; }
cut meta %[2]d %[3]d; cut data %[4]d %[5]d`, dir, metadata, 4*extent, data, 256*extent))
	names := ""
	for id, v := range []struct {
		extents int
		name    string
	}{{125, "root"}, {256, "vm-100-disk-0"}, {125, "root-snap1"}, {125, "root-snap2"}, {100, "xfsvol"}} {
		names += fmt.Sprintf("%d %d %s\n", id+1, v.extents*extent/sectorBytes, v.name)
	}
	return []string{"--names", writeText(t, names), fmt.Sprintf("pool:%s/meta,%[1]s/data", dir)}
}

// changing are the lines of LVM's metadata that differ each time a group is made.
var changing = regexp.MustCompile(`(?m)^\s*(id|creation_time|creation_host|device) = .*\n`)

// lvmGroup is what LVM's disk says of the group, without the lines that differ each time.
func lvmGroup(t *testing.T, dir string) string {
	t.Helper()
	head := make([]byte, mib) // LVM's label and texts, the newest last
	f := must(os.Open(dir + "/disk.img"))
	defer f.Close()
	must(f.ReadAt(head, 0))
	begin := bytes.LastIndex(head, []byte("vg0 {\n"))
	if begin < 0 {
		t.Fatal("there is no group vg0")
	}
	text, _, _ := bytes.Cut(head[begin:], []byte("\n}\n"))
	return changing.ReplaceAllString(string(text), "")
}
