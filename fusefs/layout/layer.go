package layout

import (
	"maps"
	"slices"
)

// maxNames is how many volumes of one device id a source can have: each has a layer.
const maxNames = 256

// layersBefore are the layers of a source's pools in the layout before.
func (b *builder) layersBefore(section int) map[string]uint8 {
	if b.before == nil {
		return nil
	}
	return maps.Clone(b.before.Sections[section].layers)
}

// volumeBefore is the volume of an identity in the layout before, nil if it had none.
func (b *builder) volumeBefore(identity any) *Volume {
	if b.before == nil {
		return nil
	}
	return b.before.volumes[identity]
}

// layPools gives each pool its layer, which it keeps. The only pool that a source has at
// first has layer 0. Each of several has one that its name tells or, if another pool has
// that, the next.
func (s *Section) layPools(source Source) {
	var fresh []string
	for _, p := range source.Catalog.Pools {
		if _, ok := s.layers[p.Name]; !ok {
			fresh = append(fresh, p.Name)
		}
	}
	slices.Sort(fresh)
	fresh = slices.Compact(fresh)
	taken := make(map[uint8]bool)
	for _, layer := range s.layers {
		taken[layer] = true
	}
	only := s.layers == nil && len(fresh) == 1
	if s.layers == nil {
		s.layers = make(map[string]uint8)
	}
	for _, name := range fresh {
		layer := uint8(0)
		if !only {
			layer = freeLayer(name, taken)
		}
		s.layers[name], taken[layer] = layer, true
	}
}

// layVolumes gives no two volumes one address: of several of one device id those that were
// shown before keep theirs, and of the others the first has its pool's.
func (b *builder) layVolumes() {
	taken := make(map[uint64]map[uint8]bool) // layers, by address.volume
	for number, count := range b.counts {
		if count > 1 {
			taken[number] = make(map[uint8]bool)
		}
	}
	if len(taken) == 0 {
		return
	}
	for id, v := range b.layout.volumes {
		if layers := taken[v.Slot.address.volume]; layers != nil && b.volumeBefore(id) != nil {
			layers[v.Slot.address.layer] = true
		}
	}
	for _, v := range slices.Concat(b.fresh, b.beside) {
		at := &v.Slot.address
		layers := taken[at.volume]
		if layers == nil {
			continue
		}
		if layers[at.layer] {
			at.layer = freeLayer(v.Name(), layers)
		}
		layers[at.layer] = true
	}
}

// freeLayer is a layer that is not taken, which the name tells as far as it can. If
// 1 to 255 are taken it is 0.
func freeLayer(name string, taken map[uint8]bool) uint8 {
	first := hashOf(name) % (maxNames - 1)
	for i := range uint64(maxNames - 1) {
		if layer := uint8((first+i)%(maxNames-1)) + 1; !taken[layer] {
			return layer
		}
	}
	return 0
}
