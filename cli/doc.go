// Package cli is thintree's command line. Each command has a file with its flags and
// help, the wiring of what it needs, and its output.
//
// Exit statuses: 0 done; 1 failed, or the output could not be written; 2 wrong use;
// 3 done in part. An error is one line on standard error that says what failed, where,
// and what to do.
package cli
