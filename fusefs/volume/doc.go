// Package volume reads the volumes of pools.
//
// A [Pool] is opened for reading by package thin, and knows which of its devices may be
// changing. A [Volume] is a device of a pool with a name. A [Root] is a place in a volume that
// may have a filesystem. An [Opener] opens volumes: it recognises what is on one
// (volfs/probe), chooses the engine that reads it, and returns [Contents].
//
// A listing must not leave volumes open, but the attributes that it shows must be the right
// ones. So a listing takes a [Peek] of each volume: it opens the volume, reads a few blocks and
// closes it at once.
//
// The package knows no node ids. It does not decide which volumes are open, or when they are
// closed.
package volume
