// Package pool is a bare pool as a source: pool:META,DATA, the paths of its two
// halves. Nobody has named its volumes, but a file may, with a line for each:
//
//	# device_id size_in_sectors name
//	1 2097152 base
//
// Sectors have 512 bytes. Words are parted by blanks or tabs. Blank lines, and
// what follows a word that begins with "#", mean nothing. Slashes in a name, as in
// vg/root, make folders. A name may not begin with "@", which stands for an id.
package pool
