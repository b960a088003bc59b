package docker

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// big makes a root with 10,000 devices: 3,000 containers, and the layers of 1,000 images.
func big(b *testing.B) *root {
	b.Helper()
	r := newRoot(b)
	names := make(map[string]string)
	var tops []string
	for i := range 1000 {
		id, top := r.image(fmt.Sprint(i), "one", "two", fmt.Sprint(i, "a"), fmt.Sprint(i, "b"), fmt.Sprint(i, "c"), fmt.Sprint(i, "d"))
		tops = append(tops, top)
		names[fmt.Sprintf("registry.example/team/app%d:1", i)] = id
	}
	r.names(names)
	rest := strings.Repeat(`"PATH=/usr/local/sbin:/usr/local/bin",`, 100)
	for i := range 3000 {
		id := r.container(fmt.Sprint("c", i), fmt.Sprint("/c", i), tops[i%len(tops)])
		// As long as a real record.
		r.write(fmt.Sprintf(`{"State":{"Running":true,"StartedAt":"2020-01-02T03:04:05.6Z","FinishedAt":"0001-01-01T00:00:00Z"},"ID":%q,`+
			`"Created":"2020-01-02T03:04:05.6Z","Path":"/bin/server","Args":["--listen","0.0.0.0:80"],`+
			`"Config":{"Env":[%s""],"Labels":{"com.example.team":"web","com.example.version":"1.2.3"}},`+
			`"MountPoints":{"/data":{"Source":"/var/lib/docker/volumes/data/_data","Destination":"/data","RW":true,"Name":"data","Driver":"local","Type":"volume"}},`+
			`"Image":"sha256:1234","Name":"/c%d","Driver":"devicemapper"}`,
			id, rest, i), containersDir, id, configFile)
	}
	return r
}

func BenchmarkLoad(b *testing.B) {
	r := big(b)
	var before, after unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &before)
	for b.Loop() {
		cat := r.load(0)
		if len(cat.Volumes) < 10_000 || len(cat.Containers) != 3000 {
			b.Fatal(len(cat.Volumes), len(cat.Containers))
		}
	}
	// Unlike the elapsed time, this can be compared on a machine that runs other programs
	// too.
	unix.Getrusage(unix.RUSAGE_SELF, &after)
	used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(used)/float64(b.N), "cpu-ns/op")
}

func BenchmarkStamp(b *testing.B) {
	r := big(b)
	for b.Loop() {
		if _, err := r.source().Stamp(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
