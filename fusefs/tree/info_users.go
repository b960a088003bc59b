package tree

import (
	"maps"
	"slices"
	"time"

	"thintree/fusefs/layout"
	"thintree/meta"
)

// Label is a label that somebody has attached to something.
type Label struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// labelsOf are labels in the order of their names.
func labelsOf(labels map[string]string) (list []Label) {
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		list = append(list, Label{name, labels[name]})
	}
	return list
}

// ContainerInfo is what its naming system has recorded of a container.
type ContainerInfo struct {
	ID       string      `json:"id"`
	Name     string      `json:"name,omitempty"`
	Image    string      `json:"image,omitempty"`
	Status   string      `json:"status,omitempty"`
	Command  []string    `json:"command,omitempty"`
	Labels   []Label     `json:"labels,omitempty"`
	Mounts   []MountInfo `json:"mounts,omitempty"`
	Created  time.Time   `json:"created,omitzero"`
	Started  time.Time   `json:"started,omitzero"`
	Finished time.Time   `json:"finished,omitzero"`
}

// MountInfo is something that is mounted in a container.
type MountInfo struct {
	Type        string `json:"type"`
	Source      string `json:"source,omitempty"`
	Destination string `json:"destination"`
	ReadOnly    bool   `json:"read_only"`
}

// ImageInfo is what its naming system has recorded of an image.
type ImageInfo struct {
	ID      string    `json:"id"`
	Names   []string  `json:"names,omitempty"`
	Labels  []Label   `json:"labels,omitempty"`
	Created time.Time `json:"created,omitzero"`
}

// SnapshotInfo is what its naming system has recorded of a snapshot.
type SnapshotInfo struct {
	Name    string            `json:"name"`
	Parent  string            `json:"parent,omitempty"`
	Kind    meta.SnapshotKind `json:"kind,omitempty"`
	Labels  []Label           `json:"labels,omitempty"`
	Created time.Time         `json:"created,omitzero"`
}

// addUsers adds the containers, images and snapshots that the volume belongs to. An image has one
// record and perhaps several names.
func (i *VolumeInfo) addUsers(u layout.Users) {
	for _, c := range u.Containers {
		i.Containers = append(i.Containers, c.Name)
		r := c.Record
		info := ContainerInfo{
			ID: r.ID, Name: r.Name, Image: r.Image, Status: r.Status, Command: r.Command, Labels: labelsOf(r.Labels),
			Created: r.Created, Started: r.Started, Finished: r.Finished,
		}
		for _, m := range r.Mounts {
			info.Mounts = append(info.Mounts, MountInfo(m))
		}
		i.ContainerRecords = append(i.ContainerRecords, info)
	}
	known := make(map[*meta.Image]bool)
	for _, image := range u.Images {
		i.Images = append(i.Images, image.Name)
		if r := image.Record; !known[r] {
			known[r] = true
			i.ImageRecords = append(i.ImageRecords, ImageInfo{ID: r.ID, Names: r.Names, Labels: labelsOf(r.Labels), Created: r.Created})
		}
	}
	for _, s := range u.Snapshots {
		i.Snapshots = append(i.Snapshots, s.Name)
		r := s.Record
		i.SnapshotRecords = append(i.SnapshotRecords, SnapshotInfo{Name: r.Name, Parent: r.Parent, Kind: r.Kind, Labels: labelsOf(r.Labels), Created: r.Created})
	}
}
