// Package pool is the source pool:META,DATA: a bare pool, by the paths of its two halves. A
// file may name its volumes, with a line for each:
//
//	# device_id size_in_sectors name
//	1 2097152 base
//
// Sectors have 512 bytes. Blanks or tabs separate the words. Blank lines are ignored, and
// so is the rest of a line from a word that begins with "#". Slashes in a name, as in
// vg/root, make folders. A name may not begin with "@", which marks an id.
package pool
