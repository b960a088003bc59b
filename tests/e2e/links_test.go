package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"thintree/tests/pools"
)

// dockerCopy is a copy of a Docker root, at a path below a new folder.
func dockerCopy(t *testing.T, path string) (above, docker string) {
	t.Helper()
	above = t.TempDir()
	docker = filepath.Join(above, path)
	sh(t, above, "mkdir -p "+docker+" && cp -a --sparse=always "+pools.Docker(t)+"/. "+docker)
	return above, docker
}

// The root of another machine is on a disk that is mounted somewhere. Its links lead
// where they led on that machine, and a decoy lies where they would lead on this one.
func TestLinksOfARootAreFollowedWithinIt(t *testing.T) {
	t.Parallel()
	decoy := filepath.Join(t.TempDir(), "decoy")
	sh(t, "/", "mkdir "+decoy+" && echo none | tee "+decoy+"/data "+decoy+"/metadata >/dev/null")
	for name, c := range map[string]struct{ root, move string }{
		"the pool's data":            {"disk", "mv devicemapper/devicemapper/data DISK/data && ln -s DECOY/data devicemapper/devicemapper/data"},
		"the pool's folder":          {"disk", "mv devicemapper/devicemapper/* DISK && rmdir devicemapper/devicemapper && ln -s DECOY devicemapper/devicemapper"},
		"a link and then another":    {"disk", "mv devicemapper/devicemapper/data DISK/data2 && ln -s data2 DISK/data && ln -s DECOY/data devicemapper/devicemapper/data"},
		"the driver's folder":        {"disk", "mv devicemapper/* DISK && rmdir devicemapper && ln -s DECOY devicemapper"},
		"the images' folder":         {"disk", "mv image/* DISK && rmdir image && ln -s DECOY image"},
		"the containers' folder":     {"disk/var/lib/docker", "mv containers/* DISK && rmdir containers && ln -s DECOY containers"},
		"data, in a system's folder": {"disk/var/lib/docker", "mv devicemapper/devicemapper/data DISK/data && ln -s DECOY/data devicemapper/devicemapper/data"},
		"with .. out of the system":  {"disk/var/lib/docker", "mv devicemapper/devicemapper/data DISK/data && ln -s ../../../../../../../../../../../../DECOY/data devicemapper/devicemapper/data"},
		"the root, in a system's":    {"disk/var/lib/docker", "mv * DISK && cd .. && rmdir docker && ln -s DECOY docker"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			above, root := dockerCopy(t, c.root)
			disk := filepath.Join(above, "disk", decoy) // where DECOY is on the other machine
			sh(t, root, "mkdir -p "+disk+" && "+strings.NewReplacer("DISK", disk, "DECOY", decoy).Replace(c.move))
			want := thintree(t, "ls", "--long", "docker:"+pools.Docker(t)).must(t)
			if got := thintree(t, "ls", "--long", "docker:"+root).must(t); got != want {
				t.Errorf("%s\nwant\n%s", got, want)
			}
			if got := thintree(t, "cat", root, "container:ran:/app/built.txt").must(t); got != "built\n" {
				t.Errorf("a file in it: %q", got)
			}
		})
	}
}

func TestDanglingLinkIsReported(t *testing.T) {
	t.Parallel()
	decoy := t.TempDir()
	sh(t, decoy, "touch data")
	for name, c := range map[string]struct{ change, says string }{
		"data":        {"cd devicemapper/devicemapper && rm data && ln -s " + decoy + "/data data", "data is a link to " + decoy + "/data, which does not exist"},
		"metadata":    {"cd devicemapper/devicemapper && rm metadata && ln -s nothing metadata", "metadata is a link to nothing, which does not exist"},
		"pool folder": {"cd devicemapper && rm -r devicemapper && ln -s " + decoy + " devicemapper", "devicemapper is a link to " + decoy + ", which does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, root := dockerCopy(t, "root")
			sh(t, root, c.change)
			r := thintree(t, "ls", "docker:"+root)
			if r.status != 1 || !strings.Contains(r.stderr, c.says) || !strings.Contains(r.stderr, "--pool META,DATA") || strings.Count(r.stderr, "\n") != 1 {
				t.Errorf("exit status %d: %s", r.status, r.stderr)
			}
		})
	}
	_, root := dockerCopy(t, "root")
	sh(t, root, "mv devicemapper/metadata devicemapper/m && ln -s /nothing devicemapper/metadata")
	r := thintree(t, "ls", "docker:"+root)
	if r.status != 1 || !strings.Contains(r.stderr, "metadata is a link to /nothing, which does not exist") {
		t.Errorf("the records: exit status %d: %s", r.status, r.stderr)
	}
}

// What the caller writes is this host's.
func TestLinksOnTheWayToARootAreThisHosts(t *testing.T) {
	t.Parallel()
	above, root := dockerCopy(t, "root")
	sh(t, above, "ln -s "+root+" way && ln -s "+root+"/devicemapper/devicemapper/data data")
	want := thintree(t, "ls", "docker:"+root).must(t)
	for _, args := range [][]string{
		{"docker:" + above + "/way"}, {above + "/way"}, {"store:" + above + "/way/devicemapper"},
		{"--pool", root + "/devicemapper/devicemapper/metadata," + above + "/data", "docker:" + above + "/way"},
	} {
		if got := thintree(t, append([]string{"ls"}, args...)...).must(t); got != want {
			t.Errorf("%v:\n%s\nwant\n%s", args, got, want)
		}
	}
}
