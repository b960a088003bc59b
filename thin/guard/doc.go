// Package guard undoes what a process leaves half done in device-mapper when it
// dies: it resumes devices that are suspended, and deletes thin devices that were
// to be there for a while only.
//
// A suspended device freezes everything above it for ever, and a process can be
// killed between its suspend and its resume. So before it suspends a device it
// tells a second process, the guard: its own program, started once more. The two
// share memory, a table of what is held, and a pipe that the first one holds open.
// When the pipe ends the first one has, and the guard undoes what the table holds,
// and exits. Until then it sleeps: to hold something wakes nobody.
//
// A program that imports this package is the guard when it is started with a
// certain environment, and then never comes to its main function.
package guard
