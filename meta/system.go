package meta

import "context"

// System is one way in which volumes are named, with all that a command needs to know
// of it. A new one is a package of its own and a line in meta/systems. Its functions may
// be called concurrently.
type System struct {
	// Name is what a SOURCE begins with, before its colon: "docker".
	Name string
	// Argument is what follows the colon, as help texts write it: "DIR".
	Argument string
	// Noun is a source of this system in words: "a Docker root".
	Noun string
	// Help says what a source is, in one or more lines of at most 60 bytes.
	Help string
	// Sign says by what a folder is recognised. It is empty if no folder is.
	Sign string
	// TakesPool and TakesNames say which fields of Options may be set.
	TakesPool, TakesNames bool

	// Open makes a source of what follows the colon, or of a path that Recognise took.
	// It only looks at how the arguments are written: its errors say what is wrong with
	// that. What is wrong with the source itself, Load says.
	Open func(argument string, o Options) (Source, error)
	// Recognise reports whether an existing path that was given without a name is a
	// source of this system. An error says why it is only a part of one, or cannot be
	// read.
	Recognise func(ctx context.Context, path string) (bool, error)
	// Find lists the sources of this system that this host has, each as Open takes it. It is
	// nil if they cannot be found. An error says why there may be more.
	Find func(ctx context.Context) ([]string, error)
}

// Options are what a person says of a source beside its SOURCE. Empty fields are not
// given.
type Options struct {
	// Pool is META,DATA, or the device-mapper name of an active pool: where the pool lies if
	// the records do not say so (--pool).
	Pool string
	// Names is the path of a file that names volumes (--names).
	Names string
}

// Form is how a SOURCE of this system is written: "docker:DIR".
func (s System) Form() string { return s.Name + ":" + s.Argument }
