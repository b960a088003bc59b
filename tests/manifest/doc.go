// Package manifest writes down what a person can observe of a tree of files,
// one entry a line, and compares two such lists.
//
// A manifest is taken of a mounted folder ([OfDir]), which makes the kernel the
// oracle, or of a [thintree/volfs.FS] ([OfFS]), or read from a file ([Read]).
// Its lines are in the order of a walk that sorts each folder by name:
//
//	type mode uid gid nlink size blocks mtime ctime rdev content xattrs path
//
// type is the mode's S_IFMT bits shifted down by 12, in octal like mode; rdev is
// in hexadecimal; content is half of the SHA-256 of a file's bytes, the quoted
// target of a symbolic link, or "-"; xattrs are name=value in hexadecimal,
// sorted, with commas between, or "-". What could not be read is "!" and the
// error; a line that begins with "!" is an entry, or a listing, that
// failed as a whole.
//
// [Options].More adds what the lines have no column for: inode numbers, access
// and birth times, attribute flags, the map of data and holes, and the folders'
// raw entries. They are compared, never written.
package manifest
