// Package extend tests what it takes to add a filesystem reader or a naming system: a
// folder, and its line in the list. It builds the program with a toy of each.
package extend
