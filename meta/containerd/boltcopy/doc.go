// Package boltcopy reads a bbolt database that another program has open. It copies the
// file, and lets bbolt read the copy.
//
// The file itself is only read. bbolt would lock it, and wait for the program that has it
// open; or it would keep that program from starting. The copy is a file without a name, so
// nothing of it is left behind however the process ends.
//
// # Damage
//
// bbolt trusts the pages of a database: it panics, never ends or reads memory that is not
// there if they are damaged. So before bbolt opens the copy, this package checks all pages
// that bbolt would follow. It makes each reference to a damaged page lead to an empty page,
// so the rest can be read, and [DB.Damage] says what is lost. The pages have no checksums:
// bytes inside of a value may be wrong without a sign of it.
//
// # Source
//
// The format is that of bbolt 1.3 and 1.4: internal/common/{meta,page,bucket}.go, and tx_check.go
// for what must be true of keys. Numbers have the byte order of the machine. A page has an
// id, which is its offset divided by the page size. The pages 0 and 1 are meta pages: each
// says where the tree of one of the last two transactions begins. A transaction does not write to
// pages of the one before it.
package boltcopy
