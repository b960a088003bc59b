// Package guard cleans up device-mapper after a process that dies: it resumes devices that
// the process had suspended, and deletes its temporary thin devices.
//
// A suspended device freezes everything above it for ever, and a process can be killed
// between its suspend and its resume. So the process notes each device in a table before it
// suspends it. A second process, the guard, shares the memory of the table: it is the same
// program, started once more. The first process also holds the writing end of a pipe. When
// it dies the pipe ends; then the guard cleans up the devices in the table, and exits.
// Until then the guard sleeps; changes of the table do not wake it.
//
// A program that imports this package becomes the guard if it is started with a certain
// environment. It then exits before its main function runs.
package guard
