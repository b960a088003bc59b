package docker

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"thintree/meta"
)

// config is the part of a container's record that is used: Container in container/container.go.
type config struct {
	ID, Name, Image, Driver string

	Created time.Time
	Path    string
	Args    []string
	Config  settings
	State   *state

	MountPoints map[string]mountPoint // by destination
	// Volumes and VolumesRW are the mounts by destination before Docker 1.7: their sources,
	// and whether they can be written to.
	Volumes   map[string]string
	VolumesRW map[string]bool
}

// settings is the part that is used of what a container runs with, and of an image's default
// for that: Config in api/types/container.
type settings struct {
	Labels map[string]string
}

// bound removes labels that are too long. It reports whether it did.
func (s *settings) bound() bool {
	long := sizeOfMap(s.Labels) > maxDetails
	if long {
		s.Labels = nil
	}
	return long
}

// state is State in container/state.go.
type state struct {
	Running, Paused, Restarting, RemovalInProgress, Dead bool
	ExitCode                                             int
	StartedAt, FinishedAt                                time.Time
}

// mountPoint is MountPoint in volume/mounts/mounts.go.
type mountPoint struct {
	Name, Source, Destination string
	Type                      string // "" before Docker 1.13
	RW                        bool
}

// maxDetails bounds the command, the labels and the mounts of a container or an image each:
// the sum of their lengths in bytes, and perText for each text.
const (
	maxDetails = 256 << 10
	perText    = 16
)

// container is what the record says. path is the record's.
func (r *config) container(path string) container {
	c := container{driver: r.Driver, Container: meta.Container{Name: r.Name, Image: r.Image, Created: r.Created.UTC()}}
	if s := r.State; s != nil {
		c.dead = s.Dead
		c.Status, c.Started, c.Finished = s.status(), s.StartedAt.UTC(), s.FinishedAt.UTC()
	}
	var long []string
	if sizeOf(r.Path)+sizeOf(r.Args...) > maxDetails {
		long = append(long, "command")
	} else if r.Path != "" {
		c.Command = append([]string{r.Path}, r.Args...)
	}
	if r.Config.bound() {
		long = append(long, "labels")
	}
	c.Labels = r.Config.Labels
	mounts, size := r.mounts()
	if size > maxDetails {
		long, mounts = append(long, "mounts"), nil
	}
	c.Mounts = mounts
	if len(long) > 0 {
		c.lost = tooLong(path, long...)
	}
	return c
}

// tooLong is the warning about parts of a record that are longer than [maxDetails].
func tooLong(path string, parts ...string) error {
	return fmt.Errorf("%s: too long to be shown: %s", path, strings.Join(parts, ", "))
}

// status is the state in Docker's word, as docker ps and docker inspect have it.
func (s *state) status() string {
	switch {
	case s.Running && s.Paused:
		return "paused"
	case s.Running && s.Restarting:
		return "restarting"
	case s.Running:
		return "running"
	case s.RemovalInProgress:
		return "removing"
	case s.Dead:
		return "dead"
	case s.StartedAt.IsZero():
		return "created"
	}
	return fmt.Sprintf("exited (%d)", s.ExitCode)
}

// mounts are the mounts, sorted by destination, and their size for [maxDetails].
func (r *config) mounts() (list []meta.Mount, size int) {
	for _, destination := range slices.Sorted(maps.Keys(r.MountPoints)) {
		p := r.MountPoints[destination]
		m := meta.Mount{Type: p.Type, Source: p.Source, Destination: destination, ReadOnly: !p.RW}
		if m.Type == "" {
			m.Type = "bind"
			if p.Name != "" {
				m.Type = "volume"
			}
		}
		if m.Type == "volume" && p.Name != "" {
			m.Source = p.Name
		}
		list = append(list, m)
	}
	if len(r.MountPoints) == 0 {
		list = r.oldMounts()
	}
	for _, m := range list {
		size += sizeOf(m.Type, m.Source, m.Destination)
	}
	return list, size
}

// oldMounts are the mounts before Docker 1.7. Volumes had ids, and lay in vfs/dir.
func (r *config) oldMounts() (list []meta.Mount) {
	for _, destination := range slices.Sorted(maps.Keys(r.Volumes)) {
		m := meta.Mount{Type: "bind", Source: r.Volumes[destination], Destination: destination, ReadOnly: !r.VolumesRW[destination]}
		dir, id := path.Split(m.Source)
		if strings.HasSuffix(dir, "/vfs/dir/") && isID(id) {
			m.Type, m.Source = "volume", id
		}
		list = append(list, m)
	}
	return list
}

func sizeOf(texts ...string) (size int) {
	for _, text := range texts {
		size += len(text) + perText
	}
	return size
}

func sizeOfMap(texts map[string]string) (size int) {
	for key, value := range texts {
		size += sizeOf(key, value)
	}
	return size
}
