package pdata

import (
	"errors"
	"fmt"
	"syscall"
)

// Errors of Open and Device.
var (
	// ErrNotPool says that what was opened is no pool's metadata.
	ErrNotPool = errors.New("not the metadata of a thin pool")
	// ErrZeroed says that it begins with zeros: no pool was ever made there, or
	// it was wiped.
	ErrZeroed = errors.New("all zeros: no pool was made here, or it was wiped")
	// ErrShort says that it is shorter than one block.
	ErrShort = errors.New("too short for a pool's metadata")
	// ErrNoHeldRoot says that the pool holds no metadata snapshot.
	ErrNoHeldRoot = errors.New("the pool holds no metadata snapshot: dmsetup message POOL 0 reserve_metadata_snap makes one")
	// ErrNoDevice says that the pool has no device of an id.
	ErrNoDevice = errors.New("no such device")
	// ErrMoving says that the pool changed again and again while it was read.
	ErrMoving = fmt.Errorf("the pool changes faster than it can be read: %w", syscall.EAGAIN)
)

// DamageError says that a block cannot be what the format allows, so that a range
// of keys of its tree is lost. It unwraps to EIO.
type DamageError struct {
	Tree  string // "superblock", "devices", "details", "mappings", "space map"
	Block uint64 // where the block is, in blocks of 4096 bytes
	Fault string // what is wrong with it
	// First and Last are the lost keys: device ids, or virtual blocks.
	First, Last uint64
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("pool metadata: %s: block %d: %s (lost: %d to %d)", e.Tree, e.Block, e.Fault, e.First, e.Last)
}

// Unwrap makes errors.Is(err, syscall.EIO) true.
func (e *DamageError) Unwrap() error { return syscall.EIO }

// UnsupportedError says that the pool is of a version, or has features, that are
// not known. It unwraps to EOPNOTSUPP.
type UnsupportedError struct{ What string }

func (e *UnsupportedError) Error() string {
	return "pool metadata: " + e.What + " is not supported"
}

// Unwrap makes errors.Is(err, syscall.EOPNOTSUPP) true.
func (e *UnsupportedError) Unwrap() error { return syscall.EOPNOTSUPP }
