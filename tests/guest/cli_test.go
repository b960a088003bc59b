package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPoolAndVolumesByCommands makes a store, a base device with a filesystem and
// a file, a snapshot of it for an image, one of that for a container's -init, and
// of that one for the container, and takes it all down again. At each step dmsetup
// shows what thintree prints.
func TestPoolAndVolumesByCommands(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		dir := mounted(t, loop(t, filepath.Join(t.TempDir(), "disk"), 768*mib))
		mnt := t.TempDir()
		before := hostState(t)
		store := "store:" + filepath.Join(dir, "store")

		tell(t, "pool", "create", store, "--opt", "dm.basesize=64M", "--opt", "dm.loopdatasize=512M", "--opt", "dm.loopmetadatasize=4M")
		agree(t, store)
		if now := hostState(t); now != before {
			t.Errorf("a store that nobody uses has left\n%s", now)
		}

		// From here on the pool stays, also while nothing in it is active.
		tell(t, "pool", "activate", store)
		agree(t, store)
		tell(t, "pool", "grow", store, "--data-size", "+256M")
		agree(t, store)

		// The base device gets a file.
		tell(t, "volume", "mount", store, "base", mnt)
		write(t, mnt, "of-base", "in all volumes\n")
		agree(t, store)
		tell(t, "volume", "unmount", store, "base")
		agree(t, store)

		// The image, as it is while it is mounted and written to.
		tell(t, "volume", "snapshot", store, "base", "image")
		tell(t, "volume", "mount", store, "image", mnt)
		write(t, mnt, "of-image", "layer\n")
		tell(t, "volume", "snapshot", store, "image", "web-init")
		agree(t, store)
		tell(t, "volume", "unmount", store, "image", mnt)

		// The container, longer than its image.
		tell(t, "volume", "create", store, "web", "--parent", "web-init", "--size", "80M")
		agree(t, store)
		path := strings.TrimSpace(tell(t, "volume", "activate", store, "web"))
		if got := sh(t, "blockdev --getsize64 "+path); strings.TrimSpace(got) != fmt.Sprint(80*mib) {
			t.Errorf("%s has %s bytes", path, got)
		}
		agree(t, store)
		tell(t, "volume", "mount", store, "web", mnt)
		write(t, mnt, "of-container", "state\n")
		agree(t, store)
		for name, want := range map[string]string{"of-base": "in all volumes\n", "of-image": "layer\n", "of-container": "state\n"} {
			if got, err := os.ReadFile(filepath.Join(mnt, name)); err != nil || string(got) != want {
				t.Errorf("%s: %q, %v", name, got, err)
			}
			if got := tell(t, "cat", store, "web:/"+name); got != want {
				t.Errorf("thintree cat: %s: %q", name, got)
			}
		}
		// More than its image can have, and not more than its device has.
		if got := filesystemBytes(t, mnt); got <= 64*mib || got > 80*mib {
			t.Errorf("the container's filesystem has %d bytes", got)
		}

		tell(t, "volume", "suspend", store, "web")
		agree(t, store)
		tell(t, "volume", "resume", store, "web")
		tell(t, "volume", "unmount", store, "web")
		agree(t, store)
		if got := tell(t, "volume", "trim", store, "web"); !strings.HasSuffix(got, "given back\n") {
			t.Errorf("trim: %q", got)
		}
		tell(t, "volume", "deactivate", store, "web")
		agree(t, store)
		for _, name := range []string{"web", "web-init", "image"} {
			tell(t, "volume", "delete", store, name, "--yes")
			agree(t, store)
		}
		tell(t, "pool", "deactivate", store)

		if now := hostState(t); now != before {
			t.Errorf("the host was\n%s\nand is\n%s", before, now)
		}
		metadata := filepath.Join(dir, "store/devicemapper/metadata")
		if got := tell(t, "pool", "check", store); got != metadata+": no damage\n" {
			t.Errorf("pool check: %q", got)
		}
		// thin_check reads with O_DIRECT, which files in memory do not have.
		memory := t.TempDir()
		sh(t, "mount -t tmpfs none "+memory)
		defer sh(t, "umount "+memory)
		inMemory := filepath.Join(memory, "metadata")
		sh(t, "cp --sparse=always "+metadata+" "+inMemory)
		before = hostState(t)
		if got := tell(t, "pool", "check", inMemory); got != inMemory+": no damage\n" {
			t.Errorf("pool check: %q", got)
		}
		sh(t, "dd if=/dev/urandom bs=4096 count=1 conv=notrunc status=none of="+inMemory)
		refused(t, 1, []string{inMemory, "finds it damaged", "superblock"}, "pool", "check", inMemory)
		refused(t, 1, []string{"could not be checked", inMemory + "-none", "no such file"}, "pool", "check", inMemory+"-none")
		if now := hostState(t); now != before {
			t.Errorf("a check has left\n%s", now)
		}
	})
}

// TestPoolThatIsNoStoresByCommands does the same to devices that only have ids.
func TestPoolThatIsNoStoresByCommands(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		dir := mounted(t, loop(t, filepath.Join(t.TempDir(), "disk"), 256*mib))
		mnt := t.TempDir()
		before := hostState(t)
		metadata, data := filepath.Join(dir, "metadata"), filepath.Join(dir, "data")

		refused(t, 1, []string{data, "no size is given"}, "pool", "create", "vault", metadata, data)
		tell(t, "pool", "create", "vault", metadata, data, "--data-size", "128M", "--low-water", "10M", "--error-if-no-space", "--no-discard-passdown")
		tell(t, "volume", "create", "vault", "7")
		refused(t, 1, []string{"create_thin 7", "this id already"}, "volume", "create", "vault", "7")
		refused(t, 2, []string{"16777216", "no id"}, "volume", "create", "vault", "16777216")
		refused(t, 2, []string{"--size"}, "volume", "activate", "vault", "7", "seven")
		refused(t, 1, []string{`"se\x1b[2J"`}, "volume", "activate", "vault", "7", "se\x1b[2J", "--size", "32M")
		if path := tell(t, "volume", "activate", "vault", "7", "seven", "--size", "32M"); path != "/dev/mapper/seven\n" {
			t.Errorf("activated at %q", path)
		}
		agree(t, "vault")
		sh(t, "mkfs.ext4 -q -E nodiscard /dev/mapper/seven && mount /dev/mapper/seven "+mnt)
		write(t, mnt, "file", "before\n")
		tell(t, "volume", "snapshot", "vault", "7", "8")
		write(t, mnt, "file", "after\n")
		agree(t, "dm:vault")
		tell(t, "volume", "suspend", "vault", "seven")
		agree(t, "vault")
		tell(t, "volume", "resume", "vault", "seven")
		tell(t, "volume", "trim", "vault", "seven")
		refused(t, 1, []string{"in use", "seven"}, "pool", "deactivate", "vault")
		refused(t, 1, []string{"in use", mnt}, "volume", "deactivate", "vault", "seven")
		refused(t, 1, []string{"active", "thintree volume deactivate vault seven"}, "volume", "delete", "vault", "7", "--yes")
		sh(t, "umount "+mnt)
		tell(t, "volume", "activate", "vault", "8", "eight", "--size", "32M", "--read-only")
		agree(t, "vault")
		sh(t, "mount -o ro,noload /dev/mapper/eight "+mnt)
		if got, err := os.ReadFile(filepath.Join(mnt, "file")); err != nil || string(got) != "before\n" {
			t.Errorf("the snapshot holds %q, %v", got, err)
		}
		tell(t, "volume", "deactivate", "vault", "eight", "--deferred")
		sh(t, "umount "+mnt)
		tell(t, "volume", "deactivate", "vault", "seven")
		refused(t, 1, []string{"seven", "thintree volume ls vault"}, "volume", "deactivate", "vault", "seven")
		refused(t, 1, []string{"the data that no other volume shares will be lost", "--yes"}, "volume", "delete", "vault", "7")
		tell(t, "volume", "delete", "vault", "7", "--yes")
		refused(t, 1, []string{"no device 7"}, "volume", "delete", "vault", "7", "--yes")
		refused(t, 1, []string{"no device 7"}, "volume", "snapshot", "vault", "7", "9")
		if ids := asJSON[[]volumeJSON](t, "volume", "ls", "vault"); len(ids) != 1 || ids[0].DeviceID != 8 || ids[0].MappedBytes == 0 {
			t.Errorf("the pool has %+v", ids)
		}
		tell(t, "pool", "grow", "vault", "--data-size", "+64M", "--metadata-size", "4M")
		agree(t, "vault")
		if p := asJSON[[]poolJSON](t, "pool", "status", "vault"); len(p) != 1 || p[0].DataTotalBytes != 192*mib || p[0].MetadataTotalBytes != 4*mib {
			t.Errorf("the pool has grown to %+v", p)
		}
		refused(t, 1, []string{"cannot be shortened"}, "pool", "grow", "vault", "--data-size", "1M")
		refused(t, 2, []string{"thintree volume activate vault"}, "volume", "mount", "vault", "8", mnt)
		refused(t, 1, []string{metadata, "active"}, "pool", "check", metadata)
		refused(t, 1, []string{metadata, "active"}, "pool", "activate", "second", metadata, data)
		tell(t, "pool", "deactivate", "vault")
		tell(t, "pool", "activate", "vault", metadata, data, "--read-only")
		agree(t, "vault")
		refused(t, 1, []string{"read-only"}, "volume", "create", "vault", "9")
		tell(t, "pool", "deactivate", "vault")
		refused(t, 1, []string{"vault", "thintree pool activate"}, "pool", "status", "vault")

		refused(t, 1, []string{metadata, "thin pool", "--yes"}, "pool", "create", "vault", metadata, data)
		refused(t, 1, []string{metadata + " holds a thin pool's metadata (transaction id 0), which a new pool destroys"},
			"pool", "create", "vault", metadata, data+"-new", "--data-size", "64M")
		sh(t, "echo something >"+data)
		sh(t, "truncate -s 64M "+data)
		disk := newFile(t, dir, "disk", 16*mib)
		sh(t, "mkfs.ext4 -q -L attic "+disk)
		refused(t, 1, []string{"ext4", "attic", data, "--yes"}, "pool", "create", "vault", disk, data)
		tell(t, "pool", "create", "vault", disk, data, "--yes")
		agree(t, "vault")
		tell(t, "pool", "deactivate", "vault")

		store := "store:" + filepath.Join(dir, "store")
		refused(t, 1, []string{"thintree pool create " + store}, "volume", "ls", store)
		refused(t, 2, []string{"--opt", "dm.fs"}, "pool", "create", store, "--opt", "dm.fs=fat")
		tell(t, "pool", "create", store, "--opt", "dm.basesize=32M", "--opt", "dm.loopdatasize=64M", "--opt", "dm.loopmetadatasize=2M")
		tell(t, "volume", "create", store, "web")
		refused(t, 1, []string{`already has a device "web"`}, "volume", "create", store, "web")
		refused(t, 1, []string{`already has a device "base"`}, "volume", "create", store, "base")
		refused(t, 1, []string{`"nothing"`, "thintree volume ls"}, "volume", "create", store, "more", "--parent", "nothing")
		refused(t, 1, []string{`"a/b"`}, "volume", "create", store, "a/b")
		refused(t, 1, []string{`"a\nb"`}, "volume", "create", store, "a\nb")
		refused(t, 1, []string{"base device"}, "volume", "delete", store, "base", "--yes")
		refused(t, 1, []string{"not mounted"}, "volume", "unmount", store, "web")
		tell(t, "volume", "mount", store, "web", mnt)
		refused(t, 1, []string{"in use", mnt}, "volume", "delete", store, "web", "--yes")
		refused(t, 1, []string{"not mounted there"}, "volume", "unmount", store, "web", dir)
		refused(t, 1, []string{"mounted", "web", "--yes"}, "pool", "deactivate", store)
		locked := exec.Command("flock", filepath.Join(dir, "store/metadata"), "sh", "-c", "echo; read -r line")
		in, out := must(locked.StdinPipe()), must(locked.StdoutPipe())
		if err := locked.Start(); err != nil {
			t.Fatal(err)
		}
		out.Read(make([]byte, 1))
		refused(t, 1, []string{"another process"}, "volume", "ls", store)
		in.Close()
		locked.Wait()
		tell(t, "pool", "deactivate", store, "--yes")
		if now := hostState(t); now != before {
			t.Errorf("the host was\n%s\nand is\n%s", before, now)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// write writes a file and syncs its filesystem.
func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	sh(t, "sync -f "+dir)
}

// filesystemBytes is the size of a mounted filesystem, in bytes.
func filesystemBytes(t *testing.T, dir string) int64 {
	t.Helper()
	var st unix.Statfs_t
	noError(t, unix.Statfs(dir, &st))
	return int64(st.Blocks) * st.Frsize
}

// tell runs the program, which must succeed, and returns what it prints.
func tell(t *testing.T, args ...string) string {
	t.Helper()
	out, err := thintree(args...)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// refused runs the program, which must end with a status, and one line that holds
// each of some words.
func refused(t *testing.T, status int, words []string, args ...string) {
	t.Helper()
	out, err := thintree(args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != status {
		t.Errorf("thintree %q: %v, want exit status %d\n%s", args, err, status, out)
		return
	}
	_, line, _ := strings.Cut(err.Error(), "thintree: ")
	if line = strings.TrimSuffix(line, "\n"); strings.ContainsAny(line, "\n\x1b") {
		t.Errorf("thintree %q: more than a line: %q", args, line)
	}
	for _, w := range words {
		if !strings.Contains(line, w) {
			t.Errorf("thintree %q: %q does not say %q", args, line, w)
		}
	}
}

// hostState is what a command may not leave behind.
func hostState(t *testing.T) string {
	t.Helper()
	return sh(t, "dmsetup ls; losetup -a | sort; cut -d' ' -f3,5 /proc/self/mountinfo")
}

// What thintree prints as JSON of a pool and of a volume: docs/json.md.
type (
	poolJSON struct {
		Name                  string `json:"name"`
		Mode                  string `json:"mode"`
		NeedsCheck            bool   `json:"needs_check"`
		TransactionID         uint64 `json:"transaction_id"`
		HeldRootBlock         uint64 `json:"held_root_block"`
		Metadata              string `json:"metadata"`
		MetadataUsedBytes     int64  `json:"metadata_used_bytes"`
		MetadataTotalBytes    int64  `json:"metadata_total_bytes"`
		MetadataLowWaterBytes int64  `json:"metadata_low_water_bytes"`
		Data                  string `json:"data"`
		DataUsedBytes         int64  `json:"data_used_bytes"`
		DataTotalBytes        int64  `json:"data_total_bytes"`
		DataLowWaterBytes     int64  `json:"data_low_water_bytes"`
		DataBlockBytes        int64  `json:"data_block_bytes"`
		SkipBlockZeroing      bool   `json:"skip_block_zeroing"`
		ErrorIfNoSpace        bool   `json:"error_if_no_space"`
		Discard               string `json:"discard"`
		ActiveDevices         int    `json:"active_devices"`
	}
	volumeJSON struct {
		Name        string   `json:"name"`
		DeviceID    uint32   `json:"device_id"`
		SizeBytes   int64    `json:"size_bytes"`
		MappedBytes int64    `json:"mapped_bytes"`
		Active      bool     `json:"active"`
		Suspended   bool     `json:"suspended"`
		ReadOnly    bool     `json:"read_only"`
		Path        string   `json:"path"`
		Mounts      []string `json:"mounts"`
	}
)

// asJSON is what a command prints with --json.
func asJSON[T any](t *testing.T, args ...string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(tell(t, append(args, "--json")...)), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// agree fails unless dmsetup shows of the pools of this host, and of the volumes
// of one of them, what thintree prints. The kernel commits now and then, so at
// first what is asked later may differ.
func agree(t *testing.T, pool string) {
	t.Helper()
	within(t, seconds, "thintree and dmsetup agree", func() error {
		volumes := asJSON[[]volumeJSON](t, "volume", "ls", pool)
		pools := asJSON[[]poolJSON](t, "pool", "status")
		return differences(volumes, pools, activeNow(t))
	})
}

func differences(volumes []volumeJSON, pools []poolJSON, shown map[string]shownDevice) error {
	var said, shows []string
	for _, p := range pools {
		said = append(said, p.table(), p.status())
	}
	active := 0
	for _, v := range volumes {
		if !v.Active {
			continue
		}
		active++
		d := shown[v.Path]
		sectors := v.SizeBytes / sectorBytes
		said = append(said, fmt.Sprintf("0 %d thin %s %d", sectors, d.pool(), v.DeviceID),
			fmt.Sprintf("0 %d thin %d %s", sectors, v.MappedBytes/sectorBytes, d.highest()),
			fmt.Sprintf("%s %s %s %q", d.name, either(v.Suspended, "Suspended", "Active"), either(v.ReadOnly, "Read-only", "Writeable"), v.Mounts))
		shows = append(shows, fmt.Sprintf("%s %s %q", d.name, d.attributes, d.mounts))
	}
	for _, d := range shown {
		shows = append(shows, d.table, d.status)
	}
	slices.Sort(said)
	slices.Sort(shows)
	switch {
	case !slices.Equal(said, shows):
		return fmt.Errorf("dmsetup shows\n%s\nthintree says\n%s", strings.Join(shows, "\n"), strings.Join(said, "\n"))
	case len(pools) == 1 && pools[0].ActiveDevices != active:
		return fmt.Errorf("the pool has %d active devices, thintree says %d", active, pools[0].ActiveDevices)
	}
	return nil
}

// shownDevice is what dmsetup shows of a device.
type shownDevice struct {
	name, attributes, table, status string
	mounts                          []string
}

// pool and highest are what thintree does not print of a thin device: the number
// of its pool, and its last sector that is mapped.
func (d shownDevice) pool() string    { return word(d.table, 3) }
func (d shownDevice) highest() string { return word(d.status, 4) }

func word(line string, i int) string {
	words := strings.Fields(line)
	if i < len(words) {
		return words[i]
	}
	return ""
}

// activeNow asks dmsetup for all devices, by the paths of their nodes.
func activeNow(t *testing.T) map[string]shownDevice {
	t.Helper()
	out := sh(t, "dmsetup info -c --noheadings --separator ' ' -o major,minor,name,suspended,readonly; echo; dmsetup table; echo; dmsetup status --noflush")
	parts := strings.Split(out, "\n\n")
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || len(parts) != 3 {
		t.Fatalf("%v, %q", err, out)
	}
	shown := map[string]shownDevice{}
	for line := range strings.Lines(parts[0]) {
		w := strings.Fields(line)
		if len(w) != 5 {
			continue // No devices found
		}
		d := shownDevice{name: w[2], attributes: w[3] + " " + w[4]}
		for i, to := range []*string{&d.table, &d.status} {
			for line := range strings.Lines(parts[i+1]) {
				if text, ok := strings.CutPrefix(line, d.name+": "); ok {
					*to = strings.TrimSpace(text)
				}
			}
		}
		for line := range strings.Lines(string(mounts)) {
			if word(line, 2) == w[0]+":"+w[1] {
				d.mounts = append(d.mounts, word(line, 4))
			}
		}
		shown["/dev/dm-"+w[1]] = d
	}
	return shown
}

func either(which bool, yes, no string) string {
	if which {
		return yes
	}
	return no
}

// table is the line of dmsetup table for what is said of a pool.
func (p poolJSON) table() string {
	number := func(path string) string {
		text, _ := os.ReadFile("/sys/block/" + filepath.Base(path) + "/dev")
		return strings.TrimSpace(string(text))
	}
	var features []string
	for _, f := range []struct {
		word string
		is   bool
	}{
		{"skip_block_zeroing", p.SkipBlockZeroing},
		{"no_discard_passdown", p.Discard == "no_discard_passdown"},
		{"read_only", p.Mode == "ro"},
		{"error_if_no_space", p.ErrorIfNoSpace},
	} {
		if f.is {
			features = append(features, f.word)
		}
	}
	line := fmt.Sprintf("0 %d thin-pool %s %s %d %d %d %s", p.DataTotalBytes/sectorBytes, number(p.Metadata), number(p.Data),
		p.DataBlockBytes/sectorBytes, p.DataLowWaterBytes/p.DataBlockBytes, len(features), strings.Join(features, " "))
	return strings.TrimSpace(line)
}

// status is the line of dmsetup status for it.
func (p poolJSON) status() string {
	held := "-"
	if p.HeldRootBlock != 0 {
		held = fmt.Sprint(p.HeldRootBlock)
	}
	const metadataBlock = 4096
	return fmt.Sprintf("0 %d thin-pool %d %d/%d %d/%d %s %s %s %s %s %d", p.DataTotalBytes/sectorBytes, p.TransactionID,
		p.MetadataUsedBytes/metadataBlock, p.MetadataTotalBytes/metadataBlock, p.DataUsedBytes/p.DataBlockBytes, p.DataTotalBytes/p.DataBlockBytes,
		held, p.Mode, p.Discard, either(p.ErrorIfNoSpace, "error_if_no_space", "queue_if_no_space"), either(p.NeedsCheck, "needs_check", "-"),
		p.MetadataLowWaterBytes/metadataBlock)
}
