package layout

import (
	"maps"
	"slices"
)

// maxNames is how many volumes with one device id a source can have: each needs its own layer.
const maxNames = 256

// layersBefore are the layers of a source's pools in the layout before.
func (b *builder) layersBefore(section int) map[string]uint8 {
	if b.before == nil {
		return nil
	}
	return maps.Clone(b.before.Sections[section].layers)
}

// volumeBefore is the volume with an identity in the layout before, nil if there is none.
func (b *builder) volumeBefore(identity any) *Volume {
	if b.before == nil {
		return nil
	}
	return b.before.volumes[identity]
}

// layPools gives each pool a layer, which the pool then keeps. If a source has only one pool at
// first, that one gets layer 0. Otherwise a pool's layer is a hash of its name, or the next free
// one if another pool has that layer.
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

// layVolumes gives each volume an address of its own. Among volumes with one device id, those of
// the layout before keep their layers. The first of the others gets its pool's layer if no volume
// has that, and the rest get free ones.
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

// freeLayer returns the first layer from the hash of a name on that is not taken. It returns 0 if
// 1 to 255 are taken.
func freeLayer(name string, taken map[uint8]bool) uint8 {
	first := hashOf(name) % (maxNames - 1)
	for i := range uint64(maxNames - 1) {
		if layer := uint8((first+i)%(maxNames-1)) + 1; !taken[layer] {
			return layer
		}
	}
	return 0
}
