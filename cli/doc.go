// Package cli is thintree's command line: one file a command, each with its
// flags, the wiring of what it needs, and what it prints.
//
// Exit status: 0 done; 1 it failed, or what it prints cannot be written; 2 wrong
// use; 3 done, but something could not be read. An error is one line on standard
// error that says what, where and what to do.
package cli
