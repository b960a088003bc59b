package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"thintree/tests/pools"
)

// manyVolumes is a Docker root of which the pool has count more devices, all
// snapshots of the volume of the container "ran", each a container of its own:
// c0, c1, … They share all their blocks.
func manyVolumes(t *testing.T, count int) string {
	t.Helper()
	needs(t, tool("thin_dump"), tool("thin_restore"))
	root := filepath.Join(t.TempDir(), "docker")
	sh(t, "/", "cp -a --sparse=always "+pools.Docker(t)+" "+root)
	metadata := filepath.Join(root, "devicemapper/devicemapper/metadata")
	xml := sh(t, root, "thin_dump "+metadata)
	one := regexp.MustCompile(`(?s)<device dev_id="14".*?</device>`).FindString(xml)
	if one == "" {
		t.Fatal("the pool has no device 14")
	}
	const containerOf = "165160c3ba7da6b0711b8ae2e8a38be15c636cbf6a7ec242d56226b601a65391"
	config, err := os.ReadFile(filepath.Join(root, "containers", containerOf, "config.v2.json"))
	if err != nil {
		t.Fatal(err)
	}
	var more strings.Builder
	for i := range count {
		id, hash := 1000+i, fmt.Sprintf("%064x", 0xc0000000+i)
		more.WriteString(strings.NewReplacer(`dev_id="14"`, fmt.Sprintf(`dev_id="%d"`, id), `transaction="19"`, fmt.Sprintf(`transaction="%d"`, id-1)).Replace(one))
		write(t, filepath.Join(root, "devicemapper/metadata", hash), fmt.Sprintf(`{"device_id":%d,"size":1073741824,"transaction_id":%d,"initialized":false}`, id, id))
		write(t, filepath.Join(root, "image/devicemapper/layerdb/mounts", hash, "mount-id"), hash)
		text := strings.ReplaceAll(string(config), containerOf, hash)
		write(t, filepath.Join(root, "containers", hash, "config.v2.json"), strings.Replace(text, `"Name":"/ran"`, fmt.Sprintf(`"Name":"/c%d"`, i), 1))
	}
	xml = strings.Replace(xml, "</superblock>", more.String()+"</superblock>", 1)
	sh(t, root, "thin_restore -q -i "+writeFile(t, xml)+" -o "+metadata+" >/dev/null")
	return root
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestListsOpenNothing(t *testing.T) {
	t.Parallel()
	count := many(1000)
	mnt := mount(t, "docker:"+manyVolumes(t, count))
	for _, view := range []string{"volumes", "containers", "images", "info", "raw"} {
		dir := filepath.Join(mnt, view)
		sh(t, dir, "ls")
		sh(t, dir, "ls -l")
		sh(t, dir, "ls -l --color=always")
		sh(t, dir, "stat *")
		sh(t, dir, "compgen -d >/dev/null; compgen -f c || true")
		sh(t, dir, "find . -maxdepth 1 -printf '%y %m %p\n'")
	}
	sh(t, mnt, "cat info/*.json")
	sh(t, mnt, "df . volumes/base containers/ran/")
	if n := len(strings.Fields(sh(t, mnt, "ls containers"))); n != count+3 {
		t.Errorf("%d containers are listed, want %d", n, count+3)
	}
	if p := poolOf(t, mnt, "pool"); p.Opens != 0 {
		t.Errorf("lists opened %d volumes", p.Opens)
	}
	sh(t, mnt, fmt.Sprintf("ls containers/c%d/", count-1))
	if p := poolOf(t, mnt, "pool"); p.Opens != 1 {
		t.Errorf("walking into one volume opened %d", p.Opens)
	}
}

func TestManyProcessesOpenAVolumeOnce(t *testing.T) {
	t.Parallel()
	mnt := mount(t, "docker:"+pools.Docker(t))
	var wg sync.WaitGroup
	count := many(200)
	for range count {
		wg.Go(func() {
			if out, err := exec.Command("ls", "-la", mnt+"/containers/ran/").CombinedOutput(); err != nil {
				t.Errorf("ls: %v: %s", err, out)
			}
		})
	}
	wg.Wait()
	if p := poolOf(t, mnt, "pool"); p.Opens != 1 {
		t.Errorf("%d processes opened it %d times", count, p.Opens)
	}
}

func TestFindOverManyVolumesHoldsFewOpen(t *testing.T) {
	t.Parallel()
	const most = 8
	count := many(300)
	mnt := mount(t, "--max-active", fmt.Sprint(most), "docker:"+manyVolumes(t, count))
	stop := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
			text, err := os.ReadFile(filepath.Join(mnt, "pools/pool.json"))
			var open int
			if m := regexp.MustCompile(`"open_volumes": (\d+)`).FindSubmatch(text); m != nil {
				fmt.Sscan(string(m[1]), &open)
			}
			if err != nil || open > most {
				t.Errorf("%d volumes are open (error: %v)", open, err)
			}
		}
	})
	out := sh(t, mnt, "find volumes | wc -l")
	close(stop)
	watch.Wait()
	one := sh(t, mnt, fmt.Sprintf("find volumes/%064x | wc -l", 0xc0000000))
	var all, each int
	fmt.Sscan(out, &all)
	fmt.Sscan(one, &each)
	if each < 100 || all < count*each {
		t.Errorf("find saw %d entries, %d in one of %d volumes", all, each, count)
	}
	if p := poolOf(t, mnt, "pool"); p.Opens < count || p.Open > most {
		t.Errorf("opened %d times, %d are open", p.Opens, p.Open)
	}
}
