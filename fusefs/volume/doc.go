// Package volume is what lies in the volumes of pools, and what reads it.
//
// A [Pool] is opened for reading by package thin, and knows which of its devices may be
// changing. A [Volume] is one of its devices with a name, and a [Root] is a place in it at
// which a filesystem may lie. An [Opener] opens volumes: it recognises what lies there
// (volfs/probe), chooses the engine that reads it, and gives [Contents].
//
// Lists must open nothing, and a copy must be true all the same. So what a list asks of a
// volume is read in a [Peek], which opens the volume for a few blocks and closes it at once.
//
// The package knows neither node ids nor which volumes are open, and when they are closed.
package volume
