// Package guard resumes device-mapper devices that a process leaves suspended
// when it dies.
//
// A suspended device freezes everything above it for ever, and a process can be
// killed between its suspend and its resume. So before it suspends a device it
// tells a second process, the guard: its own program, started once more. The two
// share a pipe. What was written to it is there to be read also after the writer
// is gone, and then comes the end: the guard resumes what was not released, and
// exits.
//
// A program that imports this package is the guard when it is started with a
// certain environment, and then never comes to its main function.
package guard
